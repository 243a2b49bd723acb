"""What tritonclient raises when the caller is wrong: a status, and words that help."""

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

ROW = np.zeros((1, 16), np.int32)


@pytest.fixture
def client(address):
    with triton.InferenceServerClient(address) as client:
        yield client


def tensor(name: str, array: np.ndarray, datatype: str, binary: bool = True) -> triton.InferInput:
    item = triton.InferInput(name, list(array.shape), datatype)
    item.set_data_from_numpy(array, binary_data=binary)
    return item


def refusal(ask) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as caught:
        ask()
    return caught.value


def refused_infer(client, *inputs, model="simple", **more) -> str:
    """The message of a request that is wrong and stays wrong."""
    error = refusal(lambda: client.infer(model, list(inputs), **more))
    assert error.status() == "400", error
    return error.message()


GOOD = (tensor("INPUT0", ROW, "INT32"), tensor("INPUT1", ROW, "INT32"))


def test_unknown_model(client):
    error = refusal(lambda: client.infer("simpel", list(GOOD)))
    assert error.status() == "404"
    assert "simpel" in error.message()
    assert refusal(lambda: client.get_model_metadata("simpel")).status() == "404"
    assert refusal(lambda: client.get_model_config("simpel")).status() == "404"
    assert refusal(lambda: client.get_inference_statistics("simpel")).status() == "404"


def test_unknown_version(client):
    error = refusal(lambda: client.infer("simple", list(GOOD), model_version="99"))
    assert error.status() == "404"
    assert "99" in error.message()


@pytest.mark.parametrize("shape", [(1, 15), (1, 17), (16,), (1, 1, 16), (1, 0)])
@pytest.mark.parametrize("binary", [True, False])
def test_wrong_shape(client, shape, binary):
    wrong = tensor("INPUT0", np.zeros(shape, np.int32), "INT32", binary)
    message = refused_infer(client, wrong, GOOD[1])
    assert "INPUT0" in message and "16" in message


def test_rows_that_disagree(client):
    two = tensor("INPUT1", np.zeros((2, 16), np.int32), "INT32")
    refused_infer(client, GOOD[0], two)


def test_more_rows_than_the_model_takes(client):
    many = np.zeros((9, 16), np.int32)
    message = refused_infer(
        client, tensor("INPUT0", many, "INT32"), tensor("INPUT1", many, "INT32")
    )
    assert "8" in message


@pytest.mark.parametrize("binary", [True, False])
def test_wrong_datatype(client, binary):
    wrong = tensor("INPUT0", ROW.astype(np.float32), "FP32", binary)
    message = refused_infer(client, wrong, GOOD[1])
    assert "INPUT0" in message and "INT32" in message and "FP32" in message


def test_missing_input(client):
    assert "INPUT1" in refused_infer(client, GOOD[0])


def test_unknown_input(client):
    message = refused_infer(client, *GOOD, tensor("INPUT9", ROW, "INT32"))
    assert "INPUT9" in message


def test_the_same_input_twice(client):
    assert "INPUT0" in refused_infer(client, GOOD[0], GOOD[0], GOOD[1])


def test_unknown_output(client):
    wanted = [triton.InferRequestedOutput("OUTPUT9", binary_data=True)]
    assert "OUTPUT9" in refused_infer(client, *GOOD, outputs=wanted)


def test_text_that_is_no_number(client):
    """The engine's own refusal is not the server's end."""
    words = np.array([[b"one"] * 16], object)
    inputs = [tensor(f"INPUT{i}", words, "BYTES") for i in (0, 1)]
    error = refusal(lambda: client.infer("simple_string", inputs))
    assert error.status() == "400"
    assert client.is_server_live() and client.is_model_ready("simple_string")
    good = np.array([[b"1"] * 16], object)
    result = client.infer("simple_string", [tensor(f"INPUT{i}", good, "BYTES") for i in (0, 1)])
    assert result.as_numpy("OUTPUT0").ravel().tolist() == [b"2"] * 16


def test_a_refusal_leaves_the_connection_usable(client):
    for _ in range(3):
        refused_infer(client, GOOD[0])
        result = client.infer("simple", list(GOOD))
        assert np.array_equal(result.as_numpy("OUTPUT0"), ROW)
