"""FastAPI around ONNX Runtime, on uvicorn with uvloop and httptools, JSON by orjson, runs on the loop's own thread."""

import common
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

app = FastAPI(openapi_url=None)
models = {name: common.Model(name) for name in common.MODELS}


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: Request) -> Response:
    model = models.get(name)
    if model is None:
        raise HTTPException(404)
    feed = common.feed_of(orjson.loads(await request.body()))
    return Response(model.answer(model.run(feed)), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=common.PORT, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
