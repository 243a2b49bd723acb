"""docs/QUICKSTART.md does what it says: its programs are taken from the page and run against a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import node
from conftest import ROOT

PAGE = (ROOT / "docs/QUICKSTART.md").read_text("utf-8")


def blocks(language: str, url: str) -> list[str]:
    """The page's programs in a language, for the server at `url`."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [block.replace("http://localhost:8080", url) for block in found]


def run(*command: str | Path, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder / "iris-species-client")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_python(url, tmp_path):
    generate = next(line for line in blocks("sh", url)[0].splitlines() if line.startswith("openapi-python-client"))
    program, *arguments = generate.split()
    run(Path(sys.executable).parent / program, *arguments, folder=tmp_path)
    typed, pandas, gaps = blocks("python", url)
    assert run(sys.executable, "-c", typed, folder=tmp_path) == "setosa 0.9976472\n"
    assert "setosa" in run(sys.executable, "-c", pandas, folder=tmp_path)
    assert run(sys.executable, "-c", gaps, folder=tmp_path) == "setosa\nsetosa\n"
    misspelt = typed.replace("sepal_length=5.1", "sepal_lenght=5.1")
    done = subprocess.run(
        [sys.executable, "-c", misspelt],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "iris-species-client")},
    )
    assert "TypeError" in done.stderr
    too_long = typed.replace("sepal_length=5.1", "sepal_length=31")
    assert run(sys.executable, "-c", too_long, folder=tmp_path).startswith("/rows/0/sepal_length feature 'sepal_length'")


def test_typescript(url):
    folder = node.HOME / "quickstart"
    folder.mkdir(exist_ok=True)
    (folder / "quick.ts").write_text(blocks("typescript", url)[0], "utf-8")
    document = f"{url}/api/v1/models/iris/openapi.json"
    node.run("node_modules/.bin/openapi-typescript", document, "-o", "quickstart/iris.d.ts")
    flags = re.search(r"npx tsc (.*?) quick.ts", PAGE).group(1).split()
    node.run("node_modules/.bin/tsc", *flags, "quickstart/quick.ts")
    assert node.run("node", "quickstart/quick.js") == "setosa 0.9976472\n"
    (folder / "quick.ts").write_text(blocks("typescript", url)[0].replace("sepal_length:", "sepal_lenght:"), "utf-8")
    done = subprocess.run(
        ["node_modules/.bin/tsc", *flags, "--noEmit", "quickstart/quick.ts"],
        capture_output=True,
        text=True,
        cwd=node.HOME,
    )
    assert "sepal_lenght" in done.stdout and done.returncode != 0
