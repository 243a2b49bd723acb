"""KServe's SDK: InferenceRESTClient with protocol v2."""

import asyncio

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [7.2, 3.0, 5.8, 1.6]], np.float32)


def ask(work):
    """Runs `work(client)` in a loop and with a client of its own."""

    async def inside():
        async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=30)) as client:
            return await work(client)

    return asyncio.run(inside())


def flowers(binary: bool) -> InferRequest:
    item = InferInput("features", list(FLOWERS.shape), "FP32")
    item.set_data_from_numpy(FLOWERS, binary_data=binary)
    return InferRequest(model_name="iris", infer_inputs=[item], request_id="from kserve")


def test_live_and_ready(url):
    async def work(client):
        assert await client.is_server_live(url) is True
        assert await client.is_server_ready(url) is True
        assert await client.is_model_ready(url, "iris") is True
        assert await client.is_model_ready(url, "irsi") is False

    ask(work)


@pytest.mark.parametrize("binary", [True, False])
def test_infer(url, binary):
    reply = ask(lambda client: client.infer(url, flowers(binary), model_name="iris"))
    assert reply.id == "from kserve"
    assert reply.model_name == "iris"
    assert reply.get_output_by_name("label").as_numpy().tolist() == [0, 2]
    probabilities = reply.get_output_by_name("probabilities").as_numpy()
    assert probabilities.shape == (2, 3)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_infer_with_a_plain_dictionary(url):
    tensor = {"name": "features", "shape": [2, 4], "datatype": "FP32", "data": FLOWERS.tolist()}
    reply = ask(lambda client: client.infer(url, {"inputs": [tensor]}, model_name="iris"))
    assert reply.get_output_by_name("label").as_numpy().tolist() == [0, 2]


def test_infer_text(url):
    words = np.array([["", "naïve", "日本語"]], object)
    item = InferInput("INPUT0", [1, 3], "BYTES")
    item.set_data_from_numpy(words, binary_data=False)
    request = InferRequest(model_name="simple_identity", infer_inputs=[item])
    reply = ask(lambda client: client.infer(url, request, model_name="simple_identity"))
    assert reply.get_output_by_name("OUTPUT0").data == ["", "naïve", "日本語"]


def test_many_at_once_never_mix(url):
    def request(seed: int) -> InferRequest:
        row = InferInput("INPUT0", [1, 1], "BYTES", data=[f"request {seed}"])
        return InferRequest(model_name="simple_identity", infer_inputs=[row], request_id=str(seed))

    async def work(client):
        asked = [client.infer(url, request(seed), "simple_identity") for seed in range(64)]
        return await asyncio.gather(*asked)

    for seed, reply in enumerate(ask(work)):
        assert reply.id == str(seed)
        assert reply.get_output_by_name("OUTPUT0").data == [f"request {seed}"]


def test_an_unknown_model_is_an_error_with_words(url):
    with pytest.raises(httpx.HTTPStatusError) as refused:
        ask(lambda client: client.infer(url, flowers(binary=False), model_name="irsi"))
    assert refused.value.response.status_code == 404
    assert "irsi" in str(refused.value)
