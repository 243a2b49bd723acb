"""KServe's SDK with protocol v1, and what pandas writes for MLflow, against a server that has the contracts on."""

import asyncio
import csv
import io
import json
import os
import urllib.request

import httpx
import pandas
import pytest
from conftest import Server
from kserve import InferenceRESTClient, RESTConfig

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("CANDOR_URL")), reason="the server under test may have its contracts off"
)

FLOWERS = [[5.1, 3.5, 1.4, 0.2], [7.2, 3.0, 5.8, 1.6]]
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture(scope="module")
def contracts(tmp_path_factory):
    """The URL of a server with the contracts on."""
    on = ["contracts.v1=kserve", "contracts.invocations=true", "contracts.default_model=iris"]
    server = Server(tmp_path_factory.mktemp("data"), None, *(word for key in on for word in ("--set", key)))
    yield f"http://{server.wait_until_ready()}"
    assert server.stop() == 0, server.said()


def ask(work):
    """Runs `work(client)` in a loop and with a client of its own."""

    async def inside():
        async with InferenceRESTClient(RESTConfig(protocol="v1", timeout=30)) as client:
            return await work(client)

    return asyncio.run(inside())


def test_kserve_v1_predicts(contracts):
    reply = ask(lambda client: client.infer(contracts, {"instances": FLOWERS}, model_name="iris"))
    assert [row["label"] for row in reply["predictions"]] == [0, 2]
    named = [dict(zip(NAMES, flower)) for flower in FLOWERS]
    assert ask(lambda client: client.infer(contracts, {"instances": named}, model_name="iris")) == reply


def test_kserve_v1_asks_whether_a_model_is_ready(contracts):
    assert ask(lambda client: client.is_model_ready(contracts, "iris")) is True
    unload = urllib.request.Request(f"{contracts}/v2/repository/models/simple/unload", method="POST")
    assert urllib.request.urlopen(unload, timeout=30).status == 200
    assert ask(lambda client: client.is_model_ready(contracts, "simple")) is False
    with pytest.raises(httpx.HTTPStatusError) as refused:
        ask(lambda client: client.is_model_ready(contracts, "irsi"))
    assert refused.value.response.status_code == 404


def test_kserve_v1_cannot_explain(contracts):
    with pytest.raises(httpx.HTTPStatusError) as refused:
        ask(lambda client: client.explain(contracts, "iris", {"instances": FLOWERS}))
    assert refused.value.response.status_code == 501
    assert "explain" in str(refused.value)


def invoke(url, body: str, media_type: str):
    request = urllib.request.Request(f"{url}/invocations", body.encode(), {"Content-Type": media_type})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)["predictions"]


def test_frames_as_pandas_writes_them(contracts):
    frame = pandas.DataFrame(FLOWERS, columns=NAMES)
    split = invoke(contracts, json.dumps({"dataframe_split": frame.to_dict(orient="split")}), "application/json")
    assert [row["label"] for row in split] == ["setosa", "virginica"]
    records = {"dataframe_records": frame.to_dict(orient="records")}
    assert invoke(contracts, json.dumps(records), "application/json") == split
    assert invoke(contracts, frame.to_csv(index=False), "text/csv") == split
    assert invoke(contracts, frame.to_csv(index=False, header=False), "text/csv") == split


def test_csv_as_sagemaker_sends_it(contracts):
    text = io.StringIO()
    csv.writer(text).writerows(FLOWERS)
    assert [row["label"] for row in invoke(contracts, text.getvalue(), "text/csv")] == ["setosa", "virginica"]
