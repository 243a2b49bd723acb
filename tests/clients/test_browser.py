"""A person's way in: the page /docs in a real browser, and a prediction sent from it."""

import json
import shutil

import node
import pytest


def test_a_prediction_is_sent_from_the_page(address, tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium is not installed; apt-get install chromium")
    seen = json.loads(node.run("node", "browser.mjs", f"http://{address}", chromium, tmp_path))
    shutil.copy(tmp_path / "docs.png", node.HOME.parent / "docs.png")
    assert seen["status"] == "200", seen
    assert '"label": "setosa"' in seen["answer"], seen
    assert seen["url"].strip() == f"http://{address}/api/v1/models/iris/predict?explain=false"
    assert seen["operations"] > 20 and "Candor" in seen["title"]
    # The page needs nothing from anywhere else, and its policy lets it do all that it wants to.
    assert seen["hosts"] == [address]
    assert seen["complaints"] == []
