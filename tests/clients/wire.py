"""Small helpers of the client tests: plain HTTP, golden files, numpy arrays in protocol terms."""

import http.client
import json
from pathlib import Path

import numpy as np

HEADER_LENGTH = "Inference-Header-Content-Length"
DTYPES = {
    "BOOL": np.bool_,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
TOLERANCE = 1e-6


class Reply:
    """Status, headers and body of one exchange."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def error(self) -> str:
        """The message of an error reply, which is JSON with exactly that."""
        content = self.json()
        assert self.headers.get_content_type() == "application/json"
        assert isinstance(content["error"], str) and content["error"], content
        return content["error"]


def send(address: str, method: str, path: str, body: bytes | None = None, **headers) -> Reply:
    """One exchange on one connection; `_` in a header's name stands for `-`."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        return Reply(connection.getresponse())
    finally:
        connection.close()


def get(address: str, path: str) -> Reply:
    return send(address, "GET", path)


def post_json(address: str, path: str, content) -> Reply:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return send(address, "POST", path, body, Content_Type="application/json")


def array_of(tensor: dict) -> np.ndarray:
    """A golden tensor as numpy, text as bytes."""
    data = tensor["data"]
    if tensor["datatype"] == "BYTES":
        data = [item.encode() for item in data]
    return np.array(data, DTYPES[tensor["datatype"]]).reshape(tensor["shape"])


def assert_same(want: dict, got: np.ndarray, what: str):
    """Numbers within the tolerance, integers and text exactly."""
    expected = array_of(want)
    assert list(got.shape) == want["shape"], what
    if want["datatype"] in ("FP32", "FP64"):
        a, b = expected.astype(np.float64), got.astype(np.float64)
        error = np.abs(b - a) / np.maximum(1, np.abs(a))
        assert np.max(error, initial=0) <= TOLERANCE, f"{what}: off by {np.max(error):.2e}"
    else:
        assert got.ravel().tolist() == expected.ravel().tolist(), what


def golden_cases(models: Path) -> list[tuple[str, str, dict]]:
    """(model, version, case) of every golden file."""
    cases = []
    for path in sorted(models.glob("*/*/golden.json")):
        content = json.loads(path.read_text("utf-8"))
        model, version = path.parts[-3:-1]
        cases += [(model, version, case) for case in content["cases"]]
    return cases
