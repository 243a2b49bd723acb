"""Plain HTTP: the README's example, health routes, raw binary bodies, and broken requests."""

import json
import struct
import urllib.error
import urllib.request

import numpy as np
import pytest
from wire import HEADER_LENGTH, get, post_json, send

SIMPLE = "/v2/models/simple/infer"


def simple_request(**changes) -> dict:
    row = {"datatype": "INT32", "shape": [1, 16], "data": list(range(16))}
    return {"inputs": [row | {"name": "INPUT0"}, row | {"name": "INPUT1"}]} | changes


class TestReadme:
    def test_one_flower(self, url):
        """What the README tells people to type into curl."""
        body = {
            "inputs": [
                {
                    "name": "features",
                    "shape": [1, 4],
                    "datatype": "FP32",
                    "data": [5.1, 3.5, 1.4, 0.2],
                }
            ]
        }
        request = urllib.request.Request(
            f"{url}/v2/models/iris/infer",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert reply.headers.get_content_type() == "application/json"
            content = json.load(reply)
        outputs = {output["name"]: output for output in content["outputs"]}
        assert outputs["label"]["data"] == [0]
        assert sum(outputs["probabilities"]["data"]) == pytest.approx(1, abs=1e-5)

    def test_curls_own_content_type_works(self, address):
        """curl -d says that everything is a form."""
        form = "application/x-www-form-urlencoded"
        body = json.dumps(simple_request()).encode()
        assert send(address, "POST", SIMPLE, body, Content_Type=form).status == 200
        assert send(address, "POST", SIMPLE, body).status == 200

    def test_an_unknown_model_says_so(self, url):
        request = urllib.request.Request(f"{url}/v2/models/irsi/infer", data=b'{"inputs":[]}')
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 404
        assert "irsi" in json.load(refused.value)["error"]


class TestHealth:
    @pytest.mark.parametrize("path", ["/health", "/health/ready"])
    def test_house_routes(self, address, path):
        assert get(address, path).status == 200

    def test_protocol_routes(self, address):
        assert get(address, "/v2/health/live").json()["live"] is True
        assert get(address, "/v2/health/ready").json()["ready"] is True
        assert get(address, "/v2/models/iris/ready").status == 200
        assert get(address, "/v2/models/iris/versions/1/ready").status == 200
        assert get(address, "/v2/models/irsi/ready").status in (400, 404)

    @pytest.mark.parametrize("path", ["/v2", "/v2/"])
    def test_server_metadata_with_and_without_slash(self, address, path):
        reply = get(address, path)
        assert reply.status == 200
        assert {"name", "version", "extensions"} <= reply.json().keys()


class TestDocuments:
    def test_openapi_is_served_and_knows_the_routes(self, address):
        reply = get(address, "/openapi.json")
        assert reply.status == 200
        document = reply.json()
        assert document["openapi"].startswith("3.")
        infer = [path for path in document["paths"] if path.endswith("/infer")]
        assert infer, "no infer route in the document"

    def test_docs_are_a_page(self, address):
        reply = get(address, "/docs")
        if reply.status in (301, 302, 303, 307, 308):
            reply = get(address, reply.headers["Location"])
        assert reply.status == 200
        assert reply.headers.get_content_type() == "text/html"


class TestRawBinary:
    """`Inference-Header-Content-Length: 0`: the body is the one input, and nothing else."""

    def test_one_row_of_floats(self, address):
        features = np.linspace(-0.1, 0.1, 10, dtype="<f4")
        path = "/v2/models/diabetes/infer"
        reply = self.send_raw(address, path, features.tobytes())
        assert reply.status == 200, reply.body
        header, data = self.split(reply)
        (output,) = header["outputs"]
        assert (output["name"], output["datatype"]) == ("progression", "FP32")
        assert output["parameters"]["binary_data_size"] == len(data) == 4
        row = {"name": "features", "datatype": "FP32", "shape": [1, 10], "data": features.tolist()}
        same = post_json(address, path, {"inputs": [row]})
        (want,) = same.json()["outputs"][0]["data"]
        assert struct.unpack("<f", data)[0] == pytest.approx(want, rel=1e-6)

    def test_all_outputs_are_binary(self, address):
        features = np.array([5.1, 3.5, 1.4, 0.2], "<f4")
        reply = self.send_raw(address, "/v2/models/iris/infer", features.tobytes())
        assert reply.status == 200, reply.body
        header, data = self.split(reply)
        sizes = {o["name"]: o["parameters"]["binary_data_size"] for o in header["outputs"]}
        assert sizes == {"label": 8, "probabilities": 12}
        assert len(data) == 20
        assert struct.unpack_from("<q", data)[0] == 0

    @pytest.mark.parametrize("size", [0, 1, 39, 41, 80])
    def test_a_body_of_the_wrong_size_is_refused(self, address, size):
        reply = self.send_raw(address, "/v2/models/diabetes/infer", b"\0" * size)
        assert reply.status == 400
        assert reply.error()

    def test_a_model_with_two_inputs_is_refused(self, address):
        reply = self.send_raw(address, SIMPLE, b"\0" * 64)
        assert reply.status == 400
        assert reply.error()

    @staticmethod
    def send_raw(address, path, body):
        headers = {HEADER_LENGTH: "0", "Content-Type": "application/octet-stream"}
        return send(address, "POST", path, body, **headers)

    @staticmethod
    def split(reply) -> tuple[dict, bytes]:
        length = int(reply.headers[HEADER_LENGTH])
        return json.loads(reply.body[:length]), reply.body[length:]


class TestBroken:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"{}",
            b'{"inputs": 1}',
            b'{"inputs": [1]}',
            b'{"inputs": [{"name": "INPUT0"}]}',
            b'{"inputs": []} trailing',
            b"\xff\xfe",
            b"[" * 100_000,
        ],
        ids="empty cut list null object number item bare tail utf8 deep".split(),
    )
    def test_bodies_that_are_no_request(self, address, body):
        reply = post_json(address, SIMPLE, body)
        assert reply.status == 400
        assert reply.error()

    @pytest.mark.parametrize(
        "data", [[1] * 15, [1] * 17, ["a"] * 16, [1.5] * 16, [2**40] * 16, None]
    )
    def test_data_that_does_not_fit(self, address, data):
        request = simple_request()
        request["inputs"][0]["data"] = data
        reply = post_json(address, SIMPLE, request)
        assert reply.status == 400
        assert "INPUT0" in reply.error()

    @pytest.mark.parametrize("shape", [[-1, 16], [2**62, 16], [1.5, 16], ["1", 16], 16, None])
    def test_shapes_that_are_none(self, address, shape):
        request = simple_request()
        request["inputs"][0]["shape"] = shape
        reply = post_json(address, SIMPLE, request)
        assert reply.status == 400
        assert reply.error()

    @pytest.mark.parametrize("length", ["-1", "x", "999999", "18446744073709551616"])
    def test_header_lengths_that_lie(self, address, length):
        body = json.dumps(simple_request()).encode()
        reply = send(address, "POST", SIMPLE, body, **{HEADER_LENGTH: length})
        assert reply.status == 400
        assert reply.error()

    @pytest.mark.parametrize("size", [63, 65, -1, 2**62])
    def test_binary_sizes_that_lie(self, address, size):
        request = simple_request()
        for tensor in request["inputs"]:
            del tensor["data"]
            tensor["parameters"] = {"binary_data_size": size}
        header = json.dumps(request).encode()
        body = header + b"\0" * 128
        reply = send(address, "POST", SIMPLE, body, **{HEADER_LENGTH: str(len(header))})
        assert reply.status == 400
        assert reply.error()

    def test_a_body_that_is_not_what_its_coding_says(self, address):
        reply = send(address, "POST", SIMPLE, b"not gzip", Content_Encoding="gzip")
        assert reply.status == 400
        assert reply.error()

    def test_unknown_routes_and_methods_answer_in_json(self, address):
        reply = get(address, "/v2/nowhere")
        assert reply.status == 404 and reply.error()
        reply = send(address, "DELETE", "/v2/models/simple")
        assert reply.status == 405 and reply.error()

    def test_the_server_still_answers(self, address):
        reply = post_json(address, SIMPLE, simple_request(id="after"))
        assert reply.status == 200 and reply.json()["id"] == "after"
        assert reply.json()["outputs"][0]["data"] == [2 * n for n in range(16)]
