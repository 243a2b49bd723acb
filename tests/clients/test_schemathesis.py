"""schemathesis asks a server of its own whatever the documents allow, and whatever they do not.

The server has tokens, so that what the documents say of them is tried too, and a copy of the model
repository. Routes that load and unload come last: after them, nothing else is left to ask.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import Server, models

HERE = Path(__file__).parent
TOKEN = "the-token-of-schemathesis"
TESTED_S_MAX = 180
# Their documents say everything: any value that the document allows is answered. Not among them are
# `simple_string`, which takes any text and works only on those that are numbers, and `simple_identity`, whose
# rows have lists of any length, but of the same in one request, which no schema can say.
MODELS = ("iris", "digits", "diabetes", "breast_cancer", "simple")


def serve(folder: Path, *more: str) -> Iterator[str]:
    shutil.copytree(models(), folder / "models", ignore=shutil.ignore_patterns("*.py", "*.txt", "*.md"))
    tokens = folder / "tokens.toml"
    digest = sha256(TOKEN.encode()).hexdigest()
    tokens.write_text(f'[[token]]\nname = "schemathesis"\naccess = "admin"\nsha256 = "{digest}"\n')
    server = Server(folder / "data", folder / "models", "--tokens-file", tokens, *more)
    yield f"http://{server.wait_until_ready()}"
    assert server.stop() == 0, server.said()


@pytest.fixture(scope="module")
def throw_away(tmp_path_factory) -> Iterator[str]:
    yield from serve(tmp_path_factory.mktemp("schemathesis"))


@pytest.fixture(scope="module", params=["tf_serving", "kserve"])
def with_contracts(request, tmp_path_factory) -> Iterator[str]:
    settings = [f"contracts.v1={request.param}", "contracts.invocations=true", "contracts.vertex=true"]
    settings.append("contracts.default_model=iris")
    more = [word for setting in settings for word in ("--set", setting)]
    yield from serve(tmp_path_factory.mktemp("contracts"), *more)


def ask(url: str, document: str, folder: Path, *more: str):
    """One run of schemathesis; what it has to say is the failure."""
    command = [Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "--no-color"]
    command += ["run", f"{url}{document}", "--url", url, "--header", f"Authorization: Bearer {TOKEN}", *more]
    environment = os.environ | {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=TESTED_S_MAX, cwd=folder, env=environment)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-20_000:]
    assert "generated" in said, said


LOADING = "/(load|unload)$"


def test_the_whole_api(throw_away, tmp_path):
    ask(throw_away, "/openapi.json", tmp_path, "--exclude-path-regex", LOADING)


@pytest.mark.parametrize("model", MODELS)
def test_the_document_of_a_model(throw_away, tmp_path, model):
    ask(throw_away, f"/api/v1/models/{model}/openapi.json", tmp_path)


def test_loading_and_unloading(throw_away, tmp_path):
    ask(throw_away, "/openapi.json", tmp_path, "--include-path-regex", LOADING)


OF_OTHERS = "^/(v1|invocations|models|ping|version|vertex)"
# What loads and unloads in their words.
LOADING_OF_OTHERS = "^/models(/{model})?$"


def test_the_contracts_of_others(with_contracts, tmp_path):
    more = ["--include-path-regex", OF_OTHERS, "--exclude-path-regex", LOADING_OF_OTHERS]
    ask(with_contracts, "/openapi.json", tmp_path, *more)


def test_loading_and_unloading_in_the_words_of_others(with_contracts, tmp_path):
    ask(with_contracts, "/openapi.json", tmp_path, "--include-path-regex", LOADING_OF_OTHERS)
