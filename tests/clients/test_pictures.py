"""Pictures and reports of explanations, looked at in a real browser: light and dark, wide and narrow, and printed.

CANDOR_GALLERY  the program that draws them (default: target/debug/examples/gallery)

No text may leave its picture or run into another, no page may be wider than its window, and axe-core, which checks
rules of the Web Content Accessibility Guidelines, must have nothing to say.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import node
import pytest
from conftest import ROOT


def test_pictures_and_reports_can_be_read_everywhere(tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium is not installed; apt-get install chromium")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    gallery = Path(os.environ.get("CANDOR_GALLERY", target / "debug/examples/gallery"))
    if not gallery.exists():
        pytest.fail(f"{gallery} is not there; run `cargo build -p candor-pictures --example gallery`")
    drawn = tmp_path / "drawn"
    subprocess.run([gallery, drawn], check=True, timeout=60)
    shots = node.HOME.parent / "pictures"
    shutil.rmtree(shots, ignore_errors=True)
    shots.mkdir(parents=True)
    found = json.loads(node.run("node", "pictures.mjs", drawn, chromium, shots))
    assert found["pictures"] >= 38 and found["reports"] >= 4, found
    assert found["looks"] == 2 * found["pictures"] + (4 + 2) * found["reports"], found
    assert found["wrong"] == [], "\n".join(found["wrong"][:40])
