"""mosec around ONNX Runtime: one worker process for each model, JSON by orjson; batches where it is asked to."""

import sys

import common
import numpy as np
import orjson
from mosec import Runtime, Server, Worker


def worker(name: str):
    class Infer(Worker):
        def __init__(self):
            super().__init__()
            self.model = common.Model(name)

        def deserialize(self, data):
            return common.feed_of(orjson.loads(data))

        def serialize(self, data):
            return self.model.answer(data)

        def forward(self, data):
            if not common.BATCHES:
                return self.model.run(data)
            rows = [len(next(iter(feed.values()))) for feed in data]
            joined = {key: np.concatenate([feed[key] for feed in data]) for key in data[0]}
            cuts = np.cumsum(rows)[:-1]
            parts = [np.split(output, cuts) for output in self.model.run(joined)]
            return [list(each) for each in zip(*parts)]

    Infer.__name__ = Infer.__qualname__ = f"Infer_{name}"
    return Infer


# Each worker runs in a process of its own, which finds its class here by name.
WORKERS = {name: worker(name) for name in common.MODELS}
globals().update((each.__name__, each) for each in WORKERS.values())

if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(common.PORT), "--timeout", "60000", "--log-level", "warning"]
    server = Server()
    batching = {"max_batch_size": 32, "max_wait_time": 5} if common.BATCHES else {}
    server.register_runtime(
        {f"/v2/models/{name}/infer": [Runtime(each, num=1, **batching)] for name, each in WORKERS.items()}
    )
    server.run()
