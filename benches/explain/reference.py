"""The libraries that explanations are measured against, in a process that answers line by line.

    python reference.py FOLDER

A line is a question: {"work": "tree_path", "model": "100x4", "rows": 1000, "calls": 3}. So is the answer: microseconds of
CPU of a call, and the values of the last one. Rows of a call follow those of the call before, in a circle.
Models are trained and written to FOLDER when they are first asked for: {"work": "models"}.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import shap
from skl2onnx import to_onnx
from sklearn.datasets import make_regression
from sklearn.ensemble import GradientBoostingRegressor

warnings.filterwarnings("ignore")
FOLDER = Path(sys.argv[1])
FEATURES = 30
TRAINED = 2000
BACKGROUND = 100
ASKED = 1024
MODELS = {"100x4": (100, 4), "100x8": (100, 8), "500x6": (500, 6)}
MADE = {}


def data():
    """Rows to train on, and as many others to ask about; in 32 bits, as the graph reads them."""
    x, y = make_regression(TRAINED + ASKED, FEATURES, n_informative=20, noise=5, random_state=1)
    x = x.astype(np.float32)
    y = y + 50 * np.sin(3 * x[:, 0]) * x[:, 1]
    return x[:TRAINED], y[:TRAINED], x[TRAINED:]


TRAIN, TARGET, ROWS = data()


def model(name):
    if name not in MADE:
        trees, depth = MODELS[name]
        made = GradientBoostingRegressor(n_estimators=trees, max_depth=depth, random_state=0).fit(TRAIN, TARGET)
        path = FOLDER / f"{name}.onnx"
        path.write_bytes(to_onnx(made, TRAIN[:1]).SerializeToString())
        MADE[name] = made
    return MADE[name]


def models():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", TRAIN), ("rows", ROWS)):
        (FOLDER / f"{name}.f32").write_bytes(rows.astype("<f4").tobytes())
    leaves = {}
    for name in MODELS:
        leaves[name] = float(np.mean([tree[0].get_n_leaves() for tree in model(name).estimators_]))
    versions = {"shap": shap.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
    return {"features": FEATURES, "background": BACKGROUND, "leaves": leaves, "versions": versions}


class Extension:
    """shap's C extension without the Python around it: the arguments of a call are kept, and given again."""

    def __init__(self, explainer, rows):
        from shap import _cext

        kept = {}
        real = _cext.dense_tree_shap

        def keep(*arguments):
            kept["arguments"] = arguments
            return real(*arguments)

        _cext.dense_tree_shap = keep
        try:
            explainer.shap_values(rows, check_additivity=False)
        finally:
            _cext.dense_tree_shap = real
        arguments = kept["arguments"]
        self.real, self.before = real, list(arguments)
        shapes = [argument.shape if isinstance(argument, np.ndarray) else None for argument in arguments]
        self.rows = next(at for at, shape in enumerate(shapes) if shape == rows.shape and arguments[at].dtype != bool)
        wide = (len(rows), FEATURES + 1)
        self.found = next(at for at, shape in enumerate(shapes) if shape is not None and shape[:2] == wide)

    def __call__(self, rows):
        arguments = list(self.before)
        arguments[self.rows] = np.ascontiguousarray(rows, dtype=self.before[self.rows].dtype)
        arguments[self.found] = np.zeros_like(self.before[self.found])
        self.real(*arguments)
        return arguments[self.found][:, :FEATURES]


def tree(name, perturbation, count):
    background = ROWS[-BACKGROUND:] if perturbation == "interventional" else None
    explainer = shap.TreeExplainer(model(name), background, feature_perturbation=perturbation)
    return Extension(explainer, ROWS[:count])


WORK = {
    "tree_path": lambda name, count: tree(name, "tree_path_dependent", count),
    "tree_rows": lambda name, count: tree(name, "interventional", count),
}
READY = {}


def measured(question):
    key = question["work"], question["model"], question["rows"]
    count, calls = question["rows"], question["calls"]
    if key not in READY:
        READY[key] = WORK[key[0]](*key[1:])
    work = READY[key]
    starts = [(at * count) % (ASKED - count + 1) for at in range(calls)]
    batches = [ROWS[start : start + count] for start in starts]
    first = None
    # A call of many rows warms itself up.
    if count < 100:
        first = work(batches[0])
    begin = time.process_time_ns()
    for rows in batches:
        values = work(rows)
        first = values if first is None else first
    spent = time.process_time_ns() - begin
    first = np.asarray(first, dtype=np.float64)
    return {"cpu_us": spent / calls / 1000, "values": first[:8].ravel().tolist()}


for line in sys.stdin:
    question = json.loads(line)
    answer = models() if question["work"] == "models" else measured(question)
    print(json.dumps(answer), flush=True)
