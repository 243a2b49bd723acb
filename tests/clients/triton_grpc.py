"""tritonclient (gRPC), used as its own examples use it; test_grpc.py runs this in a process of its own.

The models `simple`, `simple_string` and `simple_identity` are the ones of those examples.
"""

import queue
import time

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

STREAM_S_MAX = 30


@pytest.fixture
def client(grpc_address):
    with triton.InferenceServerClient(grpc_address) as client:
        yield client


def tensor(name: str, array: np.ndarray, datatype: str) -> triton.InferInput:
    item = triton.InferInput(name, list(array.shape), datatype)
    item.set_data_from_numpy(array)
    return item


def pair(seed: int, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two different [rows, 16] arrays per seed."""
    left = np.arange(rows * 16, dtype=np.int32).reshape(rows, 16) + seed * 1000
    return left, np.full((rows, 16), seed + 1, np.int32)


def inputs_of(left: np.ndarray, right: np.ndarray) -> list:
    return [tensor("INPUT0", left, "INT32"), tensor("INPUT1", right, "INT32")]


def assert_sum_and_difference(result, left, right):
    assert np.array_equal(result.as_numpy("OUTPUT0"), left + right)
    assert np.array_equal(result.as_numpy("OUTPUT1"), left - right)


def refusal(ask) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as caught:
        ask()
    return caught.value


class TestServer:
    def test_live_and_ready(self, client):
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("simple")
        assert client.is_model_ready("simple", "1")
        assert not client.is_model_ready("no_such_model")
        assert not client.is_model_ready("simple", "99")

    def test_metadata(self, client):
        metadata = client.get_server_metadata()
        assert metadata.name == "candor" and metadata.version
        expected = {
            "binary_tensor_data",
            "classification",
            "model_configuration",
            "model_repository",
            "statistics",
        }
        assert expected <= set(metadata.extensions)
        assert not {"system_shared_memory", "cuda_shared_memory"} & set(metadata.extensions)

    def test_model_metadata_shows_the_batch_dimension(self, client):
        metadata = client.get_model_metadata("simple", as_json=True)
        assert metadata["name"] == "simple"
        assert metadata["versions"] == ["1"]
        assert metadata["platform"]
        row = {"datatype": "INT32", "shape": ["-1", "16"]}
        assert metadata["inputs"] == [{"name": f"INPUT{i}"} | row for i in (0, 1)]
        assert metadata["outputs"] == [{"name": f"OUTPUT{i}"} | row for i in (0, 1)]

    def test_model_metadata_lists_every_version(self, client):
        assert sorted(client.get_model_metadata("iris").versions) == ["1", "2"]
        assert client.get_model_metadata("iris", "1").name == "iris"

    def test_model_config_leaves_the_batch_dimension_out(self, client):
        config = client.get_model_config("simple", as_json=True)["config"]
        assert config["name"] == "simple"
        assert config["max_batch_size"] == 8
        assert config["version_policy"] == {"latest": {"num_versions": 1}}
        for side, name in (("input", "INPUT"), ("output", "OUTPUT")):
            described = [(item["name"], item["data_type"], item["dims"]) for item in config[side]]
            assert described == [(f"{name}{i}", "TYPE_INT32", ["16"]) for i in (0, 1)]


class TestInfer:
    def test_simple(self, client):
        left, right = pair(1)
        outputs = [triton.InferRequestedOutput(name) for name in ("OUTPUT0", "OUTPUT1")]
        result = client.infer("simple", inputs_of(left, right), outputs=outputs, request_id="one")
        assert_sum_and_difference(result, left, right)
        reply = result.get_response()
        assert (reply.id, reply.model_name, reply.model_version) == ("one", "simple", "1")
        # As Triton answers raw requests.
        assert len(reply.raw_output_contents) == 2

    def test_inputs_come_in_any_order(self, client):
        left, right = pair(3)
        result = client.infer("simple", inputs_of(left, right)[::-1])
        assert_sum_and_difference(result, left, right)

    def test_a_full_batch(self, client):
        left, right = pair(4, rows=8)
        assert_sum_and_difference(client.infer("simple", inputs_of(left, right)), left, right)

    def test_only_the_requested_outputs_come_back(self, client):
        left, right = pair(5)
        wanted = [triton.InferRequestedOutput("OUTPUT1")]
        result = client.infer("simple", inputs_of(left, right), outputs=wanted)
        assert [output.name for output in result.get_response().outputs] == ["OUTPUT1"]
        assert np.array_equal(result.as_numpy("OUTPUT1"), left - right)
        assert result.as_numpy("OUTPUT0") is None

    def test_many_in_flight_never_mix(self, client):
        """Every reply belongs to its own request."""
        answers = queue.Queue()
        sent = {}
        for seed in range(64):
            left, right = pair(seed, rows=1 + seed % 3)
            sent[f"r{seed}"] = (left, right)
            client.async_infer(
                "simple",
                inputs_of(left, right),
                callback=lambda result, error: answers.put((result, error)),
                request_id=f"r{seed}",
            )
        for _ in range(64):
            result, error = answers.get(timeout=STREAM_S_MAX)
            assert error is None
            assert_sum_and_difference(result, *sent.pop(result.get_response().id))
        assert not sent

    def test_standard_parameters_are_accepted(self, client):
        left, right = pair(6)
        result = client.infer(
            "simple",
            inputs_of(left, right),
            priority=1,
            timeout=30_000_000,
            client_timeout=30,
            headers={"x-anything": "1"},
            parameters={"trace_name": "a", "number": 2, "flag": True, "half": 0.5},
        )
        assert_sum_and_difference(result, left, right)

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_compression(self, client, coding):
        left, right = pair(7, rows=8)
        result = client.infer("simple", inputs_of(left, right), compression_algorithm=coding)
        assert_sum_and_difference(result, left, right)

    def test_a_large_tensor(self, client):
        """Some megabytes there and back, bit by bit."""
        words = np.array([[b"%07d" % n for n in range(400_000)]], object)
        result = client.infer("simple_identity", [tensor("INPUT0", words, "BYTES")])
        assert np.array_equal(result.as_numpy("OUTPUT0"), words)


class TestText:
    def test_simple_string(self, client):
        left, right = pair(8)
        inputs = []
        for i, numbers in enumerate((left, right)):
            text = np.array([[str(n).encode() for n in row] for row in numbers], object)
            inputs.append(tensor(f"INPUT{i}", text, "BYTES"))
        result = client.infer("simple_string", inputs)
        assert np.array_equal(result.as_numpy("OUTPUT0").astype(np.int32), left + right)
        assert np.array_equal(result.as_numpy("OUTPUT1").astype(np.int32), left - right)

    @pytest.mark.parametrize(
        "items",
        [["candor"], [""], ["", "a", ""], ["naïve", "Привет", "日本語", "🦀"], ["nul\0inside", "\0"]],
        ids=["word", "empty", "empties", "utf8", "nul"],
    )
    def test_identity(self, client, items):
        sent = np.array([[item.encode() for item in items]], object)
        got = client.infer("simple_identity", [tensor("INPUT0", sent, "BYTES")]).as_numpy("OUTPUT0")
        assert got.shape == sent.shape
        assert list(got.ravel()) == [item.encode() for item in items]


class TestClassification:
    FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [7.2, 3.0, 5.8, 1.6]], np.float32)

    def test_the_best_two_with_labels(self, client):
        inputs = [tensor("features", self.FLOWERS, "FP32")]
        plain = client.infer("iris", inputs).as_numpy("probabilities")
        wanted = triton.InferRequestedOutput("probabilities", class_count=2)
        result = client.infer("iris", inputs, outputs=[wanted])
        described = result.get_output("probabilities")
        assert (described.datatype, list(described.shape)) == ("BYTES", [2, 2])
        labels = ["setosa", "versicolor", "virginica"]
        for row, found in zip(plain, result.as_numpy("probabilities"), strict=True):
            for index, item in zip(np.argsort(-row)[:2], found, strict=True):
                value, at, label = item.decode().split(":")
                assert float(value) == pytest.approx(float(row[index]), abs=1e-5)
                assert (int(at), label) == (index, labels[index])


class TestStream:
    def test_answers_come_in_order_and_an_error_ends_nothing(self, client):
        answers = queue.Queue()
        client.start_stream(callback=lambda result, error: answers.put((result, error)))
        sent = [pair(seed, rows=1 + seed % 8) for seed in range(40)]
        for seed, (left, right) in enumerate(sent):
            inputs = inputs_of(left, right)
            if seed % 10 == 5:
                inputs = inputs[:1]
            client.async_stream_infer("simple", inputs, request_id=str(seed))
        for seed, (left, right) in enumerate(sent):
            result, error = answers.get(timeout=STREAM_S_MAX)
            if seed % 10 == 5:
                assert result is None and "INPUT1" in error.message()
            else:
                assert error is None
                assert result.get_response().id == str(seed)
                assert result.get_response().parameters["triton_final_response"].bool_param
                assert_sum_and_difference(result, left, right)
        client.stop_stream()

    def test_models_may_change_from_request_to_request(self, client):
        answers = queue.Queue()
        client.start_stream(callback=lambda result, error: answers.put((result, error)))
        words = np.array([[b"a", b"b"]], object)
        client.async_stream_infer("simple", inputs_of(*pair(1)))
        client.async_stream_infer("simple_identity", [tensor("INPUT0", words, "BYTES")])
        client.async_stream_infer("no_such_model", inputs_of(*pair(1)))
        first, second, third = (answers.get(timeout=STREAM_S_MAX) for _ in range(3))
        assert_sum_and_difference(first[0], *pair(1))
        assert np.array_equal(second[0].as_numpy("OUTPUT0"), words)
        assert "no_such_model" in third[1].message()
        client.stop_stream()


class TestControl:
    def test_unload_and_load_again(self, client):
        features = np.zeros((1, 10), np.float32)
        before = client.infer("diabetes", [tensor("features", features, "FP32")])
        assert self.states(client, "diabetes") == {"READY"}
        client.unload_model("diabetes")
        try:
            assert not client.is_model_ready("diabetes")
            assert "READY" not in self.states(client, "diabetes")
            ask = lambda: client.infer("diabetes", [tensor("features", features, "FP32")])  # noqa: E731
            error = refusal(ask)
            assert error.status() == "StatusCode.UNAVAILABLE" and "diabetes" in error.message()
            # The neighbours do not notice.
            assert client.is_model_ready("iris") and client.is_server_ready()
        finally:
            client.load_model("diabetes")
        assert client.is_model_ready("diabetes")
        assert self.states(client, "diabetes") == {"READY"}
        after = client.infer("diabetes", [tensor("features", features, "FP32")])
        assert np.array_equal(before.as_numpy("progression"), after.as_numpy("progression"))

    def test_what_a_load_may_not_carry_is_refused(self, client):
        assert "no_such_model" in refusal(lambda: client.load_model("no_such_model")).message()
        assert refusal(lambda: client.load_model("../models")).status() == "StatusCode.INVALID_ARGUMENT"
        files = {"file:1/model.onnx": b"onnx"}
        error = refusal(lambda: client.load_model("simple", config="{}", files=files))
        assert error.status() == "StatusCode.UNIMPLEMENTED" and "file:1/model.onnx" in error.message()
        error = refusal(lambda: client.load_model("simple", config='{"max_batch_size": 4}'))
        assert error.status() == "StatusCode.UNIMPLEMENTED"

    def test_a_version_policy_is_taken(self, client):
        client.load_model("iris", config='{"version_policy": {"specific": {"versions": [1]}}}')
        try:
            assert list(client.get_model_metadata("iris").versions) == ["1"]
        finally:
            client.load_model("iris")
        assert sorted(client.get_model_metadata("iris").versions) == ["1", "2"]

    def test_the_index_lists_every_version(self, client):
        index = client.get_model_repository_index().models
        listed = {(item.name, item.version) for item in index}
        assert {("iris", "1"), ("iris", "2"), ("simple", "1"), ("digits", "1")} <= listed

    @staticmethod
    def states(client, model) -> set[str]:
        index = client.get_model_repository_index().models
        return {item.state for item in index if item.name == model}


class TestStatistics:
    def test_counts_rise_by_what_was_sent(self, client):
        start = self.of_simple(client)
        for rows in (1, 1, 1, 4):
            client.infer("simple", inputs_of(*pair(10, rows=rows)))
        refusal(lambda: client.infer("simple", inputs_of(*pair(10))[:1]))
        # Four requests, seven rows; what was refused is no success.
        end = self.of_simple(client)
        assert end.inference_count - start.inference_count == 7
        for phase in ("success", "compute_input", "compute_infer", "compute_output"):
            was, now = getattr(start.inference_stats, phase), getattr(end.inference_stats, phase)
            assert now.count - was.count == 4, phase
            assert now.ns >= was.ns, phase
        assert end.inference_stats.fail.count - start.inference_stats.fail.count == 1
        assert end.execution_count - start.execution_count == 4
        # Milliseconds since 1970.
        assert abs(end.last_inference / 1000 - time.time()) < 60

    def test_every_model_is_in_the_whole_list(self, client):
        listed = {item.name for item in client.get_inference_statistics().model_stats}
        assert {"iris", "simple", "digits"} <= listed

    def test_statistics_of_one_version(self, client):
        found = client.get_inference_statistics("iris", "1").model_stats
        assert [(item.name, item.version) for item in found] == [("iris", "1")]

    @staticmethod
    def of_simple(client):
        (found,) = client.get_inference_statistics("simple").model_stats
        return found


class TestErrors:
    ROW = np.zeros((1, 16), np.int32)

    def message(self, client, *inputs, model="simple", **more) -> str:
        """The message of a request that is wrong and stays wrong."""
        error = refusal(lambda: client.infer(model, list(inputs), **more))
        assert error.status() == "StatusCode.INVALID_ARGUMENT", error
        return error.message()

    def test_unknown_model_and_version(self, client):
        good = inputs_of(self.ROW, self.ROW)
        for ask in (
            lambda: client.infer("simpel", good),
            lambda: client.get_model_metadata("simpel"),
            lambda: client.get_model_config("simpel"),
            lambda: client.get_inference_statistics("simpel"),
        ):
            error = refusal(ask)
            assert error.status() == "StatusCode.NOT_FOUND"
            assert "did you mean 'simple'?" in error.message()
        error = refusal(lambda: client.infer("simple", good, model_version="99"))
        assert error.status() == "StatusCode.NOT_FOUND" and "99" in error.message()

    @pytest.mark.parametrize("shape", [(1, 15), (16,), (1, 1, 16), (1, 0), (9, 16)])
    def test_wrong_shape(self, client, shape):
        wrong = tensor("INPUT0", np.zeros(shape, np.int32), "INT32")
        message = self.message(client, wrong, tensor("INPUT1", self.ROW, "INT32"))
        assert "INPUT0" in message or "at most 8 rows" in message

    def test_wrong_datatype_and_names(self, client):
        other = tensor("INPUT1", self.ROW, "INT32")
        message = self.message(client, tensor("INPUT0", self.ROW.astype(np.float32), "FP32"), other)
        assert "INPUT0" in message and "expected INT32, got FP32" in message
        message = self.message(client, tensor("INPUT2", self.ROW, "INT32"), other)
        assert 'expected INPUT0, INPUT1, got "INPUT2"' in message
        message = self.message(client, other)
        assert "input 'INPUT0' is missing" in message
        message = self.message(client, other, other)
        assert "stands there twice" in message
        wanted = [triton.InferRequestedOutput("OUTPUT9")]
        message = self.message(client, *inputs_of(self.ROW, self.ROW), outputs=wanted)
        assert "OUTPUT0, OUTPUT1" in message and "OUTPUT9" in message

    def test_raw_bytes_that_do_not_fit(self, client):
        short = tensor("INPUT0", self.ROW, "INT32")
        short._raw_content = short._raw_content[:-1]
        message = self.message(client, short, tensor("INPUT1", self.ROW, "INT32"))
        assert "INPUT0" in message and "expected 64 bytes" in message and "got 63 bytes" in message

    def test_shared_memory_trace_and_log_settings_are_not_there(self, client):
        for ask in (
            lambda: client.register_system_shared_memory("a", "/a", 64),
            client.get_system_shared_memory_status,
            client.unregister_system_shared_memory,
            client.get_cuda_shared_memory_status,
            client.get_trace_settings,
            client.get_log_settings,
        ):
            error = refusal(ask)
            assert error.status() == "StatusCode.UNIMPLEMENTED"
            assert "this method is not there" in error.message()
        shared = triton.InferInput("INPUT0", [1, 16], "INT32")
        shared.set_shared_memory("region", 64)
        error = refusal(lambda: client.infer("simple", [shared, tensor("INPUT1", self.ROW, "INT32")]))
        assert error.status() == "StatusCode.UNIMPLEMENTED" and "shared memory" in error.message()

    def test_a_timeout_that_cannot_be_kept(self, client):
        ask = lambda: client.infer("simple", inputs_of(self.ROW, self.ROW), timeout=1)  # noqa: E731
        error = refusal(ask)
        assert error.status() == "StatusCode.DEADLINE_EXCEEDED", error
        assert "took too long" in error.message()
