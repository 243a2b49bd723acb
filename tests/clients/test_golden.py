"""Every golden answer of the sample models, over JSON and over binary tensors."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tritonclient.http as triton
from conftest import ROOT, models
from wire import array_of, assert_same, golden_cases, post_json

CASES = golden_cases(models())
every_case = pytest.mark.parametrize(
    ("model", "version", "case"),
    CASES,
    ids=[f"{model}-{version}-{case['name'].replace(' ', '_')}" for model, version, case in CASES],
)


def test_there_are_golden_cases():
    assert len({model for model, _, _ in CASES}) >= 8


@every_case
def test_json(address, model, version, case):
    path = f"/v2/models/{model}/versions/{version}/infer"
    reply = post_json(address, path, {"id": case["name"], "inputs": case["inputs"]})
    assert reply.status == 200, reply.body
    content = reply.json()
    assert content["model_name"] == model
    assert content["model_version"] == version
    assert content["id"] == case["name"]
    outputs = {output["name"]: output for output in content["outputs"]}
    assert list(outputs) == [want["name"] for want in case["outputs"]]
    for want in case["outputs"]:
        got = outputs[want["name"]]
        assert got["datatype"] == want["datatype"]
        assert got["shape"] == want["shape"]
        assert_same(want, array_of(got), want["name"])


@every_case
def test_nested_json(address, model, version, case):
    """`data` may be nested as the shape says."""
    inputs = [
        tensor | {"data": np.array(tensor["data"], object).reshape(tensor["shape"]).tolist()}
        for tensor in case["inputs"]
    ]
    path = f"/v2/models/{model}/versions/{version}/infer"
    reply = post_json(address, path, {"inputs": inputs})
    assert reply.status == 200, reply.body
    outputs = {output["name"]: output for output in reply.json()["outputs"]}
    for want in case["outputs"]:
        assert_same(want, array_of(outputs[want["name"]]), want["name"])


@every_case
def test_binary(address, model, version, case):
    inputs = []
    for tensor in case["inputs"]:
        item = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        item.set_data_from_numpy(array_of(tensor), binary_data=True)
        inputs.append(item)
    with triton.InferenceServerClient(address) as client:
        result = client.infer(model, inputs, model_version=version)
    reply = result.get_response()
    assert (reply["model_name"], reply["model_version"]) == (model, version)
    for want in case["outputs"]:
        got = result.get_output(want["name"])
        assert got["datatype"] == want["datatype"]
        assert "data" not in got and "binary_data_size" in got["parameters"]
        assert_same(want, result.as_numpy(want["name"]), want["name"])


def test_both_versions_of_iris_are_served_and_differ(address):
    """The newest answers when nobody asks for a version."""
    inputs = [
        {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [6.0, 2.8, 4.9, 1.65]}
    ]

    def ask(path):
        reply = post_json(address, path, json.dumps({"inputs": inputs}).encode())
        assert reply.status == 200, reply.body
        return reply.json()

    one, two = (ask(f"/v2/models/iris/versions/{version}/infer") for version in (1, 2))
    newest = ask("/v2/models/iris/infer")
    assert newest["model_version"] == "2"
    assert newest["outputs"] == two["outputs"]
    assert one["outputs"] != two["outputs"]


def test_the_program_of_the_documentation_writes_pairs(tmp_path):
    """docs/REPOSITORIES.md shows how to write golden.json; its program is taken from the page."""
    page = (ROOT / "docs/REPOSITORIES.md").read_text("utf-8")
    program = re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL).group(1)
    folder = tmp_path / "models/iris/1"
    folder.mkdir(parents=True)
    shutil.copy(models() / "iris/1/model.onnx", folder)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=120)
    ours = json.loads((folder / "golden.json").read_text("utf-8"))
    theirs = json.loads((models() / "iris/1/golden.json").read_text("utf-8"))
    assert set(ours) == set(theirs) and set(ours["cases"][0]) == set(theirs["cases"][0])
    got = {output["name"]: output for output in ours["cases"][0]["outputs"]}
    assert got["label"]["data"] == [0, 1]
    first = theirs["cases"][0]["outputs"][1]
    np.testing.assert_allclose(got["probabilities"]["data"][:3], first["data"], atol=1e-6)
