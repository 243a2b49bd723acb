"""SIGTERM: what was asked is answered, then the server ends with 0."""

import http.client
import json
import os
import threading

import pytest
from conftest import Server

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("CANDOR_URL")), reason="the server under test is not ours to stop"
)

ROW = {"datatype": "INT32", "shape": [1, 16], "data": list(range(16))}
BODY = json.dumps({"inputs": [ROW | {"name": "INPUT0"}, ROW | {"name": "INPUT1"}]})


def test_an_idle_server_stops(tmp_path):
    server = Server(tmp_path)
    server.wait_until_ready()
    assert server.stop() == 0, server.said()


def test_no_answer_is_lost_while_stopping(tmp_path):
    """A request is either answered whole, or its connection was closed before it began."""
    server = Server(tmp_path)
    address = server.wait_until_ready()
    answered, torn = [], []
    started = threading.Event()

    def ask():
        while True:
            connection = http.client.HTTPConnection(address, timeout=10)
            try:
                connection.connect()
            except OSError:
                return
            try:
                connection.request("POST", "/v2/models/simple/infer", BODY)
                reply = connection.getresponse()
                content = json.loads(reply.read())
                answered.append(reply.status)
                if reply.status == 200:
                    assert content["outputs"][0]["data"] == [2 * n for n in range(16)]
                    started.set()
            except ConnectionError:
                # Accepted by the kernel, never by the server.
                return
            except Exception as error:
                torn.append(error)
                return
            finally:
                connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    code = server.stop()
    for thread in threads:
        thread.join(30)
    assert code == 0, server.said()
    assert not torn
    assert set(answered) <= {200, 503}
