"""The server's .proto files beside the descriptors that clients bring: same names, numbers and types.

A field or method that clients have and the server does not is no fault: it is not there, or it stays empty. One
that the server has and a client does not, or has otherwise, is one unless it stands in EXTRA.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from google.protobuf import descriptor_pb2

PROTO = ROOT / "server" / "grpc_api" / "proto"
FILES = ("inference.proto", "model_config.proto")

TRITON = ("tritonclient.grpc.service_pb2", "tritonclient.grpc.model_config_pb2")
OPEN = ("open_inference.grpc.protocol",)
KSERVE = ("kserve.protocol.grpc.grpc_predict_v2_pb2",)

# What the protocol has and Triton has not, and the other way round.
EXTRA = {
    TRITON: {
        "ModelMetadataResponse.properties",
        "RepositoryModelLoadResponse.model_name",
        "RepositoryModelLoadResponse.isLoaded",
        "RepositoryModelUnloadResponse.model_name",
        "RepositoryModelUnloadResponse.isUnloaded",
    },
    OPEN: set(),
    # Where Triton has the repository's name, KServe has the model's.
    KSERVE: {
        "ModelMetadataResponse.properties",
        "InferParameter.double_param",
        "InferParameter.uint64_param",
        "RepositoryModelLoadRequest.repository_name",
        "RepositoryModelUnloadRequest.repository_name",
        *(
            f"RepositoryModel{what}Request.{field}"
            for what in ("Load", "Unload")
            for field in ("model_name", "parameters")
        ),
    },
}


@pytest.fixture(scope="session")
def ours(tmp_path_factory) -> list[descriptor_pb2.FileDescriptorProto]:
    out = tmp_path_factory.mktemp("proto") / "descriptor.bin"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--descriptor_set_out={out}"]
    subprocess.run([*command, *FILES], check=True)
    return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def theirs(names: tuple[str, ...]) -> list[descriptor_pb2.FileDescriptorProto]:
    """In a process of their own: protobuf takes the names of a package only once."""
    text = """
import importlib, sys
from google.protobuf import descriptor_pb2
files = descriptor_pb2.FileDescriptorSet()
for name in sys.argv[1:]:
    importlib.import_module(name).DESCRIPTOR.CopyToProto(files.file.add())
sys.stdout.buffer.write(files.SerializeToString())
"""
    done = subprocess.run([sys.executable, "-c", text, *names], capture_output=True, check=True)
    return list(descriptor_pb2.FileDescriptorSet.FromString(done.stdout).file)


def fields(files) -> dict[str, tuple]:
    """Message.field to what the wire depends on."""
    found = {}

    def walk(message, prefix):
        for field in message.field:
            name = f"{prefix}{message.name}.{field.name}"
            found[name] = (field.number, field.type, field.label, field.type_name)
        for nested in message.nested_type:
            walk(nested, f"{prefix}{message.name}.")

    for file in files:
        assert file.package == "inference"
        for message in file.message_type:
            walk(message, "")
    return found


def methods(files) -> dict[str, tuple]:
    return {
        f"{service.name}.{method.name}": (
            method.input_type,
            method.output_type,
            method.client_streaming,
            method.server_streaming,
        )
        for file in files
        for service in file.service
        for method in service.method
    }


def enums(files) -> dict[str, int]:
    return {
        f"{enum.name}.{value.name}": value.number
        for file in files
        for enum in file.enum_type
        for value in enum.value
    }


@pytest.mark.parametrize("client", [TRITON, OPEN, KSERVE], ids=["triton", "open", "kserve"])
def test_names_and_numbers_are_the_clients_own(ours, client):
    files = theirs(client)
    known, mine = fields(files), fields(ours)
    messages = {name.rsplit(".", 1)[0] for name in known} | {
        message.name for file in files for message in file.message_type
    }
    assert len(set(known) & set(mine)) > 50
    for name, field in mine.items():
        if name in EXTRA[client] or name.rsplit(".", 1)[0] not in messages:
            continue
        assert known.get(name) == field, name
    known, mine = methods(files), methods(ours)
    assert {name: known[name] for name in known if name in mine} == {
        name: mine[name] for name in mine if name in known
    }
    missing = {name.split(".")[1] for name in known} - {name.split(".")[1] for name in mine}
    refused = ("SystemSharedMemory", "CudaSharedMemory", "TraceSetting", "LogSettings")
    assert all(name.startswith(refused) for name in missing), missing
    known = enums(files)
    assert all(known[name] == number for name, number in enums(ours).items() if name in known)


def test_the_files_are_all_of_them():
    assert sorted(path.name for path in Path(PROTO).iterdir()) == sorted(FILES)
