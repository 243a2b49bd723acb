"""MLServer with a custom runtime around ONNX Runtime, in one process; adaptive batching where it is asked for."""

import asyncio
import socket

import common
import uvloop
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxRuntime(MLModel):
    async def load(self) -> bool:
        self.model = common.Model(self.name)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feed = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        outputs = zip(self.model.outputs, self.model.run(feed))
        return InferenceResponse(
            model_name=self.name,
            model_version=self.model.version,
            outputs=[NumpyCodec.encode_output(name, array) for name, array in outputs],
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def main() -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=common.PORT,
        grpc_port=free_port(),
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
        load_models_at_startup=True,
    )
    batching = {"max_batch_size": 32, "max_batch_time": 0.005} if common.BATCHES else {}
    models = [
        ModelSettings(name=name, implementation=OnnxRuntime, parameters=ModelParameters(), **batching)
        for name in common.MODELS
    ]
    await MLServer(settings).start(models)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
