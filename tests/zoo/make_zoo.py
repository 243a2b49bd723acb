"""Build small real exports of classical models, with the answers of the libraries that trained them.

    python make_zoo.py           rebuild models/ and zoo.json next to this script
    python make_zoo.py --check   rebuild aside and compare; writes nothing

Everything is trained from data that scikit-learn ships, with fixed seeds and one thread. zoo.json names
each model, its library and operators, and holds a few rows with the answers of that library: computed in
its own precision on the float32 rows that the graph gets.

Map of this file
    Entry            what one model is
    exports.py       the models themselves
    answer, record   rows and answers as JSON
    build, check     the two commands
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from exports import Entry, entries
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
ROWS = 6
# Libraries compute in float64, graphs in float32.
TOLERANCE = 1e-4
# All models together: they are committed.
BYTES_MAX = 3_000_000

DATATYPES = {
    np.dtype(np.float32): "FP32",
    np.dtype(np.float64): "FP64",
    np.dtype(np.int64): "INT64",
    np.dtype(object): "BYTES",
}


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def operators(graph: onnx.GraphProto) -> set[str]:
    found = set()
    for node in graph.node:
        found.add(f"{node.domain}.{node.op_type}" if node.domain else node.op_type)
        for attribute in node.attribute:
            found |= operators(attribute.g)
    return found


def tensor(name: str, array: np.ndarray) -> dict:
    array = np.asarray(array)
    if array.dtype.kind in "US":
        array = array.astype(object)
    if array.dtype == np.int32:
        array = array.astype(np.int64)
    data = array.ravel().tolist()
    if array.dtype.kind == "f":
        # JSON has no such numbers.
        words = {math.inf: "inf", -math.inf: "-inf"}
        data = ["nan" if number != number else words.get(number, number) for number in data]
    return {"name": name, "datatype": DATATYPES[array.dtype], "shape": list(array.shape), "data": data}


def near(want: np.ndarray, got: np.ndarray) -> np.ndarray:
    """By row."""
    if want.dtype.kind in "USOib":
        same = np.asarray(want).astype(str) == np.asarray(got).astype(str)
    else:
        want, got = want.astype(np.float64), got.astype(np.float64)
        same = np.abs(want - got) <= TOLERANCE * np.maximum(1, np.abs(want))
    return same.reshape(len(want), -1).all(axis=1)


def record(entry: Entry, model: bytes) -> dict:
    """What zoo.json says of a model."""
    graph = onnx.load_from_string(model).graph
    item = {"name": entry.name, "library": entry.library, "operators": sorted(operators(graph))}
    if entry.answers is None:
        item["inputs"] = [tensor(name, rows[:ROWS]) for name, rows in entry.rows.items()]
        return item
    got = dict(zip([output.name for output in graph.output], session(model).run(None, entry.rows), strict=True))
    answers = {}
    agree = np.ones(len(next(iter(entry.rows.values()))), bool)
    for name, want in entry.answers.items():
        want = np.asarray(want)
        if want.dtype.kind == "f":
            want = want.astype(got[name].dtype)
        if want.dtype.kind == "b":
            want = want.astype(np.int64)
        answers[name] = want.reshape(got[name].shape)
        agree &= near(answers[name], got[name])
    # A row that lies between a threshold and its float32 is answered otherwise, rightly.
    chosen = np.flatnonzero(agree)[:ROWS]
    if agree.mean() < 0.9 or len(chosen) < ROWS:
        wrong = {name: (want[~agree][:2], got[name][~agree][:2]) for name, want in answers.items()}
        raise ValueError(f"{entry.name}: the library agrees in {agree.sum()} of {len(agree)} rows only: {wrong}")
    item["inputs"] = [tensor(name, rows[chosen]) for name, rows in entry.rows.items()]
    item["outputs"] = [tensor(name, rows[chosen]) for name, rows in answers.items()]
    return item


def build(folder: Path) -> None:
    (folder / "models").mkdir(parents=True, exist_ok=True)
    items, total = [], 0
    for entry in entries():
        model = entry.graph.SerializeToString(deterministic=True)
        total += len(model)
        (folder / "models" / f"{entry.name}.onnx").write_bytes(model)
        items.append(record(entry, model))
        print(f"{entry.name}: {len(model)} bytes, {' '.join(items[-1]['operators'])}", flush=True)
    if total > BYTES_MAX:
        raise ValueError(f"{total} bytes of models, wanted at most {BYTES_MAX}")
    dumps = lambda item: json.dumps(item, separators=(",", ":"), allow_nan=False)
    lines = ",\n".join(dumps(item) for item in sorted(items, key=lambda item: item["name"]))
    (folder / "zoo.json").write_text(f'{{"tolerance":{TOLERANCE!r},"models":[\n{lines}\n]}}\n', "utf-8")
    print(f"{len(items)} models, {total} bytes")


def check(committed: Path) -> list[str]:
    """A rebuild must have the same models, operators and answers; and the committed files must give them."""
    with tempfile.TemporaryDirectory() as scratch:
        build(Path(scratch))
        fresh = json.loads((Path(scratch) / "zoo.json").read_text("utf-8"))
    old = {item["name"]: item for item in json.loads((committed / "zoo.json").read_text("utf-8"))["models"]}
    new = {item["name"]: item for item in fresh["models"]}
    files = {path.stem for path in (committed / "models").glob("*.onnx")}
    problems = [f"{name}: not in both" for name in sorted((old.keys() ^ new.keys()) | (old.keys() ^ files))]
    for name in sorted(old.keys() & new.keys() & files):
        was, now = old[name], new[name]
        if was["operators"] != now["operators"]:
            problems.append(f"{name}: other operators")
        for side in ("inputs", "outputs"):
            for one, other in zip(was.get(side, []), now.get(side, []), strict=True):
                a, b = array(one), array(other)
                if a.shape != b.shape or not (near(a, b) | (a != a).reshape(len(a), -1).any(axis=1)).all():
                    problems.append(f"{name}: {one['name']} is different after a rebuild")
        if "outputs" in was:
            model = (committed / "models" / f"{name}.onnx").read_bytes()
            rows = {item["name"]: array(item) for item in was["inputs"]}
            wanted = [item["name"] for item in was["outputs"]]
            for item, got in zip(was["outputs"], session(model).run(wanted, rows), strict=True):
                if not near(array(item), got).all():
                    problems.append(f"{name}: the committed model gives another {item['name']}")
    return problems


def array(item: dict) -> np.ndarray:
    kinds = {datatype: kind for kind, datatype in DATATYPES.items()}
    data = [float(number) if isinstance(number, str) and item["datatype"] != "BYTES" else number for number in item["data"]]
    return np.array(data, kinds[item["datatype"]]).reshape(item["shape"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Build or check the exports of classical models.")
    parser.add_argument("--check", action="store_true", help="compare with what is committed; write nothing")
    arguments = parser.parse_args()
    with threadpool_limits(limits=1):
        if not arguments.check:
            build(HERE)
            return 0
        problems = check(HERE)
    print("\n".join(problems) or "models and answers agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
