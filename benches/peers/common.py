"""What the peers share: sessions, and the Open Inference Protocol around them."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
import orjson

PORT = int(os.environ["PEER_PORT"])
MODELS = os.environ["PEER_MODELS"].split(",")
BATCHES = os.environ.get("PEER_BATCHES") == "1"
NUMPY = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "INT32": np.int32}
WORDS = {np.dtype(each): word for word, each in NUMPY.items()}


class Model:
    """The highest version of a model, one thread per run."""

    def __init__(self, name: str):
        folder = Path(os.environ["PEER_REPOSITORY"]) / name
        self.name, self.version = name, max((each.name for each in folder.iterdir() if each.name.isdigit()), key=int)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = folder / self.version / "model.onnx"
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, feed: dict) -> list:
        return self.session.run(None, feed)

    def answer(self, outputs: list) -> bytes:
        """As arrays, which orjson writes without making Python numbers of them."""
        body = {
            "model_name": self.name,
            "model_version": self.version,
            "outputs": [
                {"name": name, "datatype": WORDS[array.dtype], "shape": array.shape, "data": array.reshape(-1)}
                for name, array in zip(self.outputs, outputs)
            ],
        }
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def feed_of(body: dict) -> dict:
    return {
        each["name"]: np.array(each["data"], NUMPY[each["datatype"]]).reshape(each["shape"]) for each in body["inputs"]
    }
