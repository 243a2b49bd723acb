"""Other people's gRPC clients: tritonclient, KServe's SDK, the protocol's own stub (open-inference-grpc).

They bring the same package of messages, and protobuf takes a name once for each process: each has one of its own.
"""

import hashlib
import os
import re
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest
from conftest import ROOT, Addresses, Server

OPEN = """
    import grpc
    from open_inference.grpc import protocol as pb
    from open_inference.grpc.service import GRPCInferenceServiceStub

    channel = grpc.insecure_channel(ADDRESS)
    stub = GRPCInferenceServiceStub(channel)
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name="iris")).ready
    assert not stub.ModelReady(pb.ModelReadyRequest(name="irsi")).ready
    assert stub.ServerMetadata(pb.ServerMetadataRequest()).name == "candor"
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="iris", version="2"))
    assert [(item.name, item.datatype, list(item.shape)) for item in metadata.inputs] == [
        ("features", "FP32", [-1, 4])
    ]
    assert metadata.properties["version"] == "2" and len(metadata.properties["sha256"]) == 64

    def ask(model, **tensor):
        item = pb.ModelInferRequest.InferInputTensor(**tensor)
        request = pb.ModelInferRequest(model_name=model, id="seven", inputs=[item])
        return stub.ModelInfer(request, timeout=30)

    flowers = [5.1, 3.5, 1.4, 0.2, 7.2, 3.0, 5.8, 1.6]
    contents = pb.InferTensorContents(fp32_contents=flowers)
    reply = ask("iris", name="features", datatype="FP32", shape=[2, 4], contents=contents)
    assert (reply.id, reply.model_name, reply.model_version) == ("seven", "iris", "2")
    outputs = {item.name: item for item in reply.outputs}
    assert list(outputs["label"].contents.int64_contents) == [0, 2]
    assert list(outputs["probabilities"].shape) == [2, 3]
    assert abs(sum(outputs["probabilities"].contents.fp32_contents) - 2) < 1e-5
    assert not reply.raw_output_contents
    words = [b"", "naïve".encode(), b"nul\\0inside", bytes(range(256))]
    contents = pb.InferTensorContents(bytes_contents=words)
    reply = ask("simple_identity", name="INPUT0", datatype="BYTES", shape=[1, 4], contents=contents)
    assert list(reply.outputs[0].contents.bytes_contents) == words
    try:
        ask("iris", name="features", datatype="FP32", shape=[2, 5], contents=pb.InferTensorContents(fp32_contents=flowers))
        raise SystemExit("it was taken")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert "expected 10 elements for shape [2, 5], got 8 elements" in error.details(), error
        assert dict(error.trailing_metadata())["candor-reason"] == "invalid_input"
"""

KSERVE = """
    import asyncio
    import numpy as np
    from kserve import InferInput, InferRequest
    from kserve.inference_client import InferenceGRPCClient

    FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [7.2, 3.0, 5.8, 1.6]], np.float32)

    def flowers(binary):
        item = InferInput("features", list(FLOWERS.shape), "FP32")
        item.set_data_from_numpy(FLOWERS, binary_data=binary)
        return InferRequest(model_name="iris", infer_inputs=[item], request_id="from kserve")

    async def main():
        client = InferenceGRPCClient(ADDRESS)
        assert await client.is_server_live() is True
        assert await client.is_server_ready() is True
        assert await client.is_model_ready("iris") is True
        assert await client.is_model_ready("irsi") is False
        for binary in (True, False):
            reply = await client.infer(flowers(binary))
            assert (reply.id, reply.model_name) == ("from kserve", "iris")
            assert reply.get_output_by_name("label").as_numpy().tolist() == [0, 2]
            probabilities = reply.get_output_by_name("probabilities").as_numpy()
            assert probabilities.shape == (2, 3)
            assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        replies = await asyncio.gather(*(client.infer(flowers(seed % 2 == 0)) for seed in range(64)))
        assert all(reply.get_output_by_name("label").as_numpy().tolist() == [0, 2] for reply in replies)
        wrong = flowers(False)
        wrong.model_name = "irsi"
        try:
            await client.infer(wrong)
            raise SystemExit("it was taken")
        except Exception as error:
            assert "irsi" in str(error) and "did you mean 'iris'?" in str(error), error
        await client.close()

    asyncio.run(main())
"""

HEALTH = """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
    from google.protobuf.descriptor_pool import DescriptorPool

    channel = grpc.insecure_channel(ADDRESS)
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "inference.GRPCInferenceService"):
        reply = health.Check(health_pb2.HealthCheckRequest(service=service))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "inference.GRPCInferenceService" in database.get_services()
    service = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
    assert "ModelStreamInfer" in [method.name for method in service.methods]
"""


TOKENS = """
    import numpy as np
    import tritonclient.grpc as triton
    from tritonclient.utils import InferenceServerException

    client = triton.InferenceServerClient(ADDRESS)
    bearer = lambda name: {"authorization": f"Bearer the {name} token"}
    assert client.is_server_live() and client.is_server_ready()
    item = triton.InferInput("turns", [], "INT64")
    item.set_data_from_numpy(np.array(1, np.int64))

    def refused(ask):
        try:
            ask()
        except InferenceServerException as error:
            return error
        raise SystemExit("it was let in")

    assert client.infer("long_loop", [item], headers=bearer("infer"))
    assert refused(lambda: client.infer("long_loop", [item])).status() == "StatusCode.UNAUTHENTICATED"
    wrong = refused(lambda: client.infer("long_loop", [item], headers={"authorization": "Bearer x"}))
    assert wrong.status() == "StatusCode.UNAUTHENTICATED", wrong
    wrong = refused(lambda: client.load_model("long_loop", headers=bearer("infer")))
    assert wrong.status() == "StatusCode.PERMISSION_DENIED", wrong
    client.load_model("long_loop", headers=bearer("operate"))
    # A deadline: what would take hours is given up, and the server goes on.
    item.set_data_from_numpy(np.array(1 << 40, np.int64))
    late = refused(lambda: client.infer("long_loop", [item], headers=bearer("infer"), client_timeout=0.3))
    assert late.status() == "StatusCode.DEADLINE_EXCEEDED", late
    item.set_data_from_numpy(np.array(1, np.int64))
    assert client.infer("long_loop", [item], headers=bearer("infer"), client_timeout=30)
"""


def test_tokens_and_deadlines(tmp_path):
    version = tmp_path / "models" / "long_loop" / "1"
    version.mkdir(parents=True)
    fixture = ROOT / "server" / "engine_conformance" / "fixtures" / "long_loop.onnx"
    (version / "model.onnx").write_bytes(fixture.read_bytes())
    lines = (
        f'[[token]]\nname = "{name}"\naccess = "{name}"\nsha256 = "{digest}"\n'
        for name in ("infer", "operate")
        for digest in [hashlib.sha256(f"the {name} token".encode()).hexdigest()]
    )
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("".join(lines), "utf-8")
    more = ("--tokens-file", tokens, "--set", "execution.threads=1")
    server = Server(tmp_path / "data", tmp_path / "models", *more)
    server.wait_until_ready()
    run(server.address("grpc"), TOKENS)
    assert server.stop() == 0, server.said()


def run(address: str, script: str) -> None:
    text = f"ADDRESS = {address!r}\n" + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


# What the server cuts off: a stream without messages, a connection without calls, an old connection. The last two go
# unnoticed, because gRPC itself opens another one.
PATIENCE = """
    import time
    import queue
    import numpy as np
    import tritonclient.grpc as triton
    from tritonclient.utils import InferenceServerException

    features = triton.InferInput("features", [1, 4], "FP32")
    features.set_data_from_numpy(np.array([[5.1, 3.5, 1.4, 0.2]], np.float32))
    with triton.InferenceServerClient(ADDRESS) as client:
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put(error or result))
        client.async_stream_infer("iris", [features])
        assert not isinstance(answers.get(timeout=30), InferenceServerException)
        error = answers.get(timeout=30)
        assert isinstance(error, InferenceServerException), error
        assert "grpc.stream_idle_ms_max" in str(error), error
        client.stop_stream()
        end = time.monotonic() + 5
        calls = 0
        while time.monotonic() < end:
            # Through connections that grow old meanwhile.
            client.infer("iris", [features])
            calls += 1
        assert calls > 100, calls
"""


def test_what_is_cut_off(tmp_path):
    limits = ["stream_idle_ms_max=500", "connection_idle_s_max=1", "connection_age_s_max=1"]
    server = Server(tmp_path, None, *[word for limit in limits for word in ("--set", f"grpc.{limit}")])
    address = server.wait_until_ready()
    run(server.address("grpc"), PATIENCE)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        metrics = reply.read().decode()
    assert 'candor_grpc_cut_off_total{why="stream_idle"} 1\n' in metrics, metrics
    aged = re.search(r'cut_off_total\{why="connection_age"\} (\d+)', metrics)
    assert aged and int(aged[1]) >= 3, metrics
    assert server.stop() == 0, server.said()


def test_triton(addresses: Addresses):
    file = Path(__file__).with_name("triton_grpc.py")
    environment = os.environ | {"CANDOR_URL": addresses.http, "CANDOR_GRPC": addresses.grpc}
    command = [sys.executable, "-m", "pytest", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize("script", [OPEN, KSERVE, HEALTH], ids=["open", "kserve", "health"])
def test_client(grpc_address, script):
    run(grpc_address, script)
