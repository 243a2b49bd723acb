"""tritonclient (HTTP), used as its own examples use it: server, metadata, inference, control.

The models `simple`, `simple_string` and `simple_identity` are the ones of those examples.
"""

import time

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException
from wire import send


@pytest.fixture
def client(address):
    with triton.InferenceServerClient(address, concurrency=16) as client:
        yield client


def tensor(name: str, array: np.ndarray, datatype: str, binary: bool = True) -> triton.InferInput:
    item = triton.InferInput(name, list(array.shape), datatype)
    item.set_data_from_numpy(array, binary_data=binary)
    return item


def pair(seed: int, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two different [rows, 16] arrays per seed."""
    left = np.arange(rows * 16, dtype=np.int32).reshape(rows, 16) + seed * 1000
    return left, np.full((rows, 16), seed + 1, np.int32)


def inputs_of(left: np.ndarray, right: np.ndarray, binary: bool = True) -> list:
    return [
        tensor("INPUT0", left, "INT32", binary),
        tensor("INPUT1", right, "INT32", binary),
    ]


def assert_sum_and_difference(result, left, right):
    assert np.array_equal(result.as_numpy("OUTPUT0"), left + right)
    assert np.array_equal(result.as_numpy("OUTPUT1"), left - right)


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
        assert metadata["name"] and metadata["version"]
        expected = {
            "binary_tensor_data",
            "classification",
            "model_configuration",
            "model_repository",
            "statistics",
        }
        assert expected <= set(metadata["extensions"])
        refused = {"system_shared_memory", "cuda_shared_memory"}
        assert not refused & set(metadata["extensions"])

    def test_model_metadata_shows_the_batch_dimension(self, client):
        metadata = client.get_model_metadata("simple")
        assert metadata["name"] == "simple"
        assert metadata["versions"] == ["1"]
        assert metadata["platform"]
        row = {"datatype": "INT32", "shape": [-1, 16]}
        assert metadata["inputs"] == [{"name": f"INPUT{i}"} | row for i in (0, 1)]
        assert metadata["outputs"] == [{"name": f"OUTPUT{i}"} | row for i in (0, 1)]

    def test_model_metadata_lists_every_version(self, client):
        assert sorted(client.get_model_metadata("iris")["versions"]) == ["1", "2"]
        assert client.get_model_metadata("iris", "1")["name"] == "iris"

    def test_model_config_leaves_the_batch_dimension_out(self, client):
        config = client.get_model_config("simple")
        assert config["name"] == "simple"
        assert config["max_batch_size"] == 8
        for side, name in (("input", "INPUT"), ("output", "OUTPUT")):
            described = [(item["name"], item["data_type"], item["dims"]) for item in config[side]]
            assert described == [(f"{name}{i}", "TYPE_INT32", [16]) for i in (0, 1)]


class TestInfer:
    @pytest.mark.parametrize("binary_input", [True, False])
    @pytest.mark.parametrize("binary_output", [True, False])
    def test_simple(self, client, binary_input, binary_output):
        left, right = pair(1)
        outputs = [
            triton.InferRequestedOutput(name, binary_data=binary_output)
            for name in ("OUTPUT0", "OUTPUT1")
        ]
        inputs = inputs_of(left, right, binary_input)
        result = client.infer("simple", inputs, outputs=outputs, request_id="one")
        assert_sum_and_difference(result, left, right)
        reply = result.get_response()
        assert (reply["id"], reply["model_name"], reply["model_version"]) == ("one", "simple", "1")

    def test_mixed_binary_and_json_inputs(self, client):
        left, right = pair(2)
        inputs = [
            tensor("INPUT0", left, "INT32", binary=False),
            tensor("INPUT1", right, "INT32", binary=True),
        ]
        assert_sum_and_difference(client.infer("simple", inputs), left, right)

    def test_inputs_come_in_any_order(self, client):
        left, right = pair(3)
        result = client.infer("simple", inputs_of(left, right)[::-1])
        assert_sum_and_difference(result, left, right)

    def test_a_full_batch(self, client):
        left, right = pair(4, rows=8)
        assert_sum_and_difference(client.infer("simple", inputs_of(left, right)), left, right)

    def test_only_the_requested_outputs_come_back(self, client):
        left, right = pair(5)
        wanted = [triton.InferRequestedOutput("OUTPUT1", binary_data=True)]
        result = client.infer("simple", inputs_of(left, right), outputs=wanted)
        assert [output["name"] for output in result.get_response()["outputs"]] == ["OUTPUT1"]
        assert np.array_equal(result.as_numpy("OUTPUT1"), left - right)
        assert result.as_numpy("OUTPUT0") is None

    def test_many_in_flight_never_mix(self, client):
        """Every reply belongs to its own request."""
        waiting = []
        for seed in range(64):
            left, right = pair(seed, rows=1 + seed % 3)
            asked = client.async_infer("simple", inputs_of(left, right), request_id=f"r{seed}")
            waiting.append((seed, left, right, asked))
        for seed, left, right, asked in waiting:
            result = asked.get_result()
            assert result.get_response()["id"] == f"r{seed}"
            assert_sum_and_difference(result, left, right)

    def test_standard_parameters_are_accepted(self, client):
        left, right = pair(6)
        result = client.infer(
            "simple",
            inputs_of(left, right),
            priority=1,
            timeout=30_000_000,
            parameters={"trace_name": "a", "number": 2, "flag": True},
        )
        assert_sum_and_difference(result, left, right)

    @pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
    @pytest.mark.parametrize("reply_coding", [None, "gzip", "deflate"])
    def test_compression(self, client, request_coding, reply_coding):
        left, right = pair(7, rows=8)
        result = client.infer(
            "simple",
            inputs_of(left, right),
            request_compression_algorithm=request_coding,
            response_compression_algorithm=reply_coding,
        )
        assert_sum_and_difference(result, left, right)

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_a_large_reply_is_compressed_when_asked(self, address, coding):
        words = '"candor",' * 4000
        body = (
            '{"inputs":[{"name":"INPUT0","datatype":"BYTES","shape":[1,4000],'
            f'"data":[{words[:-1]}]}}]}}'
        ).encode()
        path = "/v2/models/simple_identity/infer"
        plain = send(address, "POST", path, body)
        assert plain.status == 200 and plain.headers["Content-Encoding"] in (None, "identity")
        small = send(address, "POST", path, body, Accept_Encoding=coding)
        assert small.status == 200 and small.headers["Content-Encoding"] == coding
        assert len(small.body) < len(plain.body) / 4


class TestText:
    @pytest.mark.parametrize("binary", [True, False])
    def test_simple_string(self, client, binary):
        left, right = pair(8)
        inputs = []
        for i, numbers in enumerate((left, right)):
            text = np.array([[str(n).encode() for n in row] for row in numbers], object)
            inputs.append(tensor(f"INPUT{i}", text, "BYTES", binary))
        result = client.infer("simple_string", inputs)
        assert np.array_equal(result.as_numpy("OUTPUT0").astype(np.int32), left + right)
        assert np.array_equal(result.as_numpy("OUTPUT1").astype(np.int32), left - right)

    @pytest.mark.parametrize("binary_input", [True, False])
    @pytest.mark.parametrize("binary_output", [True, False])
    @pytest.mark.parametrize(
        "items",
        [
            ["candor"],
            [""],
            ["", "a", ""],
            ["naïve", "Привет", "日本語", "🦀"],
            ["nul\0inside", "\0", "ends\0"],
            ['"', "\\", "line\nbreak", "\u2028"],
        ],
        ids=["word", "empty", "empties", "utf8", "nul", "awkward"],
    )
    def test_identity(self, client, items, binary_input, binary_output):
        sent = np.array([[item.encode() for item in items]], object)
        wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary_output)]
        inputs = [tensor("INPUT0", sent, "BYTES", binary_input)]
        got = client.infer("simple_identity", inputs, outputs=wanted).as_numpy("OUTPUT0")
        # Binary replies are bytes; JSON replies are text.
        back = [item if isinstance(item, bytes) else item.encode() for item in got.ravel()]
        assert got.shape == sent.shape
        assert back == [item.encode() for item in items]


class TestClassification:
    FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [7.2, 3.0, 5.8, 1.6]], np.float32)

    @pytest.mark.parametrize("binary", [True, False])
    def test_the_best_two_with_labels(self, client, binary):
        inputs = [tensor("features", self.FLOWERS, "FP32")]
        plain = client.infer("iris", inputs).as_numpy("probabilities")
        wanted = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)
        result = client.infer("iris", inputs, outputs=[wanted])
        described = result.get_output("probabilities")
        assert (described["datatype"], described["shape"]) == ("BYTES", [2, 2])
        labels = ["setosa", "versicolor", "virginica"]
        for row, found in zip(plain, result.as_numpy("probabilities"), strict=True):
            for index, item in zip(np.argsort(-row)[:2], found, strict=True):
                text = item.decode() if isinstance(item, bytes) else item
                value, at, label = text.split(":")
                assert float(value) == pytest.approx(float(row[index]), abs=1e-5)
                assert (int(at), label) == (index, labels[index])

    def test_more_classes_than_there_are(self, client):
        inputs = [tensor("features", self.FLOWERS, "FP32")]
        wanted = triton.InferRequestedOutput("probabilities", binary_data=False, class_count=99)
        result = client.infer("iris", inputs, outputs=[wanted])
        assert result.get_output("probabilities")["shape"] == [2, 3]


class TestControl:
    def test_unload_and_load_again(self, client):
        features = np.zeros((1, 10), np.float32)
        before = client.infer("diabetes", [tensor("features", features, "FP32")])
        assert self.states(client, "diabetes") == {"READY"}
        client.unload_model("diabetes")
        try:
            self.wait_for(lambda: not client.is_model_ready("diabetes"))
            assert "READY" not in self.states(client, "diabetes")
            with pytest.raises(InferenceServerException) as refused:
                client.infer("diabetes", [tensor("features", features, "FP32")])
            assert refused.value.status() in ("400", "404", "503")
            assert "diabetes" in refused.value.message()
            # The neighbours do not notice.
            assert client.is_model_ready("iris") and client.is_server_ready()
        finally:
            client.load_model("diabetes")
        self.wait_for(lambda: client.is_model_ready("diabetes"))
        assert self.states(client, "diabetes") == {"READY"}
        after = client.infer("diabetes", [tensor("features", features, "FP32")])
        assert np.array_equal(before.as_numpy("progression"), after.as_numpy("progression"))

    def test_loading_a_loaded_model_keeps_it(self, client):
        client.load_model("simple")
        left, right = pair(9)
        assert_sum_and_difference(client.infer("simple", inputs_of(left, right)), left, right)

    def test_loading_what_is_not_there_is_refused(self, client):
        with pytest.raises(InferenceServerException) as refused:
            client.load_model("no_such_model")
        assert "no_such_model" in refused.value.message()
        with pytest.raises(InferenceServerException):
            client.load_model("../models")

    def test_the_index_lists_every_version(self, client):
        index = client.get_model_repository_index()
        listed = {(item["name"], item.get("version")) for item in index}
        assert {("iris", "1"), ("iris", "2"), ("simple", "1"), ("digits", "1")} <= listed

    @staticmethod
    def states(client, model) -> set[str]:
        index = client.get_model_repository_index()
        return {item.get("state") for item in index if item["name"] == model}

    @staticmethod
    def wait_for(condition):
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, "did not happen in 30 s"
            time.sleep(0.05)


class TestStatistics:
    def test_counts_rise_by_what_was_sent(self, client):
        start = self.settled(client)
        for rows in (1, 1, 1, 4):
            client.infer("simple", inputs_of(*pair(10, rows=rows)))
        with pytest.raises(InferenceServerException):
            client.infer("simple", inputs_of(*pair(10))[:1])
        # Four requests, seven rows; what was refused is no success.
        end = self.settled(client, start["inference_count"] + 7)
        assert end["inference_count"] - start["inference_count"] == 7
        for phase in ("success", "compute_input", "compute_infer", "compute_output"):
            was, now = start["inference_stats"][phase], end["inference_stats"][phase]
            assert now["count"] - was["count"] == 4, phase
            assert now["ns"] >= was["ns"], phase
        assert 1 <= end["execution_count"] - start["execution_count"] <= 4
        # Milliseconds since 1970.
        assert abs(end["last_inference"] / 1000 - time.time()) < 60

    def test_every_model_is_in_the_whole_list(self, client):
        listed = {item["name"] for item in client.get_inference_statistics()["model_stats"]}
        assert {"iris", "simple", "digits"} <= listed

    def test_statistics_of_one_version(self, client):
        found = client.get_inference_statistics("iris", "1")["model_stats"]
        assert [(item["name"], item["version"]) for item in found] == [("iris", "1")]

    @staticmethod
    def settled(client, at_least: int = 0) -> dict:
        """Counters are merged now and then: read until they stand still."""
        end = time.monotonic() + 10
        last = None
        while time.monotonic() < end:
            (found,) = client.get_inference_statistics("simple")["model_stats"]
            count = found.get("inference_count", 0)
            if count >= at_least and last == count:
                return found
            last = count
            time.sleep(0.3)
        pytest.fail(f"inference_count stayed at {last}, wanted {at_least}")
