"""Programs of the npm registry, installed by `cargo xtask test --only clients` into target/clients/node."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

HOME = Path(os.environ.get("CANDOR_CLIENTS", ROOT / "target/clients")) / "node"
SOURCES = Path(__file__).parent / "ts"


def run(*words: str | Path) -> str:
    """What a program of ours, or of node_modules, prints; it runs beside node_modules."""
    if not (HOME / "node_modules").is_dir():
        pytest.fail(f"{HOME}/node_modules is not there; run `cargo xtask test --only clients`")
    for source in SOURCES.iterdir():
        if source.name != "package-lock.json" and source.name != "package.json":
            shutil.copy(source, HOME)
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=HOME)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
