"""openapi/README.md keeps its word: its commands are run as they stand, but for what they install."""

import os
import re
import subprocess
import sys
from pathlib import Path

import node
import pytest
from conftest import ROOT

TEXT = (ROOT / "openapi/README.md").read_text("utf-8")
BLOCKS = {
    heading: re.findall(r"```sh\n(.*?)```", section, re.S)
    for heading, section in re.findall(r"^## (\w+).*?\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M)
}
SAYS = {"Python": "setosa\n", "TypeScript": "setosa\n", "schemathesis": "generated"}


def test_every_generator_is_tried():
    assert {heading for heading, blocks in BLOCKS.items() if blocks} == set(SAYS)


@pytest.mark.parametrize("heading", SAYS)
def test_the_commands_work(url, tmp_path, heading):
    (script,) = BLOCKS[heading]
    script = re.sub(r"^(pip|npm) install .*\n", "", script, flags=re.M)
    (tmp_path / "node_modules").symlink_to(node.HOME / "node_modules")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("http://localhost:8080", url)],
        capture_output=True, text=True, timeout=180, cwd=tmp_path, env=os.environ | {"PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert SAYS[heading] in done.stdout
