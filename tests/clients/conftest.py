"""One server for all client tests, started as a user would start it, and stopped cleanly.

CANDOR_BINARY  the binary to test (default: target/debug/candor)
CANDOR_MODELS  the model repository (default: models/)
CANDOR_CLIENTS folder of what is installed and generated (default: target/clients)
CANDOR_URL     test this running server instead, e.g. 127.0.0.1:8080; it is not stopped
CANDOR_GRPC    where that server's gRPC is (default: 127.0.0.1:8001)

The tests know the wire and nothing of the server's code.
"""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_S_MAX = 60
STOP_S_MAX = 30


class Server:
    """A server that this process started."""

    def __init__(self, data: Path, repository: Path | None = None, *more: str | Path):
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        binary = Path(os.environ.get("CANDOR_BINARY", target / "debug" / "candor"))
        if not binary.exists():
            raise RuntimeError(f"{binary} is not there; run `cargo xtask test --only clients`")
        self.log = data / "server.log"
        self.data = data
        data.mkdir(exist_ok=True)
        # The names above are ours, not the server's: it might refuse them.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CANDOR_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(binary, "serve", repository or models(), "--data", data),
                    *("--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--health-addr", "127.0.0.1:0", *more),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=ROOT,
            )

    def wait_until_ready(self) -> str:
        """The address, once the server says that it is ready."""
        end = time.monotonic() + START_S_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}\n{self.said()}")
            address = self.address()
            if address and is_ready(address):
                return address
            time.sleep(0.05)
        self.process.kill()
        self.process.wait()
        raise RuntimeError(f"server was not ready in {START_S_MAX} s\n{self.said()}")

    def address(self, door: str = "http") -> str | None:
        try:
            return json.loads((self.data / "serving.json").read_text("utf-8"))[door]
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")[-8000:]

    def stop(self) -> int:
        """Asks politely; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"server did not stop in {STOP_S_MAX} s after SIGTERM\n{self.said()}")


def models() -> Path:
    return Path(os.environ.get("CANDOR_MODELS", ROOT / "models"))


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/v2/health/ready", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


class Addresses(NamedTuple):
    """host:port of each door of the server under test."""

    http: str
    grpc: str


@pytest.fixture(scope="session")
def addresses(tmp_path_factory) -> Iterator[Addresses]:
    given = os.environ.get("CANDOR_URL", "").removeprefix("http://").rstrip("/")
    if given:
        yield Addresses(given, os.environ.get("CANDOR_GRPC", "127.0.0.1:8001"))
        return
    server = Server(tmp_path_factory.mktemp("data"))
    http = server.wait_until_ready()
    grpc = server.address("grpc")
    assert grpc, "serving.json does not say where gRPC is"
    yield Addresses(http, grpc)
    code = server.stop()
    assert code == 0, f"server ended with {code} after SIGTERM\n{server.said()}"


@pytest.fixture(scope="session")
def address(addresses: Addresses) -> str:
    """host:port of the server under test."""
    return addresses.http


@pytest.fixture(scope="session")
def grpc_address(addresses: Addresses) -> str:
    """host:port of its gRPC."""
    return addresses.grpc


@pytest.fixture
def url(address: str) -> str:
    return f"http://{address}"
