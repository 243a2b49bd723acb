"""The peers: `shap` and `lime` with models in NumPy and ONNX Runtime, one thread.

    python peers.py make FOLDER     makes the models, a background and rows
    python peers.py serve FOLDER    reads {"method", "model", "row"} a line; answers what it cost and what came out

CPU time is the process's. The model's share of it is taken around its function, which for ONNX Runtime includes the
cast to single precision, as the served side's does.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

FEATURES, BACKGROUND, ROWS = 30, 100, 16
BOOSTED = {"boosted-100x4": (100, 4), "boosted-100x8": (100, 8), "boosted-500x6": (500, 6)}
ORDERS = 10


def make(folder):
    from skl2onnx import to_onnx
    from sklearn.datasets import make_classification
    from sklearn.ensemble import GradientBoostingClassifier

    x, y = make_classification(4000 + BACKGROUND + ROWS, FEATURES, n_informative=15, flip_y=0.05, random_state=0)
    x = x.astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (trees, depth) in BOOSTED.items():
        model = GradientBoostingClassifier(
            n_estimators=trees, max_depth=depth, learning_rate=10 / trees, subsample=0.5, random_state=0
        ).fit(x[:4000], y[:4000])
        onnx = to_onnx(model, x[:1], options={"zipmap": False})
        (folder / f"{name}.onnx").write_bytes(onnx.SerializeToString())
    rest = x[4000:].astype(np.float64)
    weights = np.random.default_rng(0).normal(size=FEATURES)
    (folder / "data.json").write_text(
        json.dumps(
            {
                "background": rest[:BACKGROUND].ravel().tolist(),
                "rows": rest[BACKGROUND:].ravel().tolist(),
                "weights": weights.tolist(),
                "features": FEATURES,
                "models": list(BOOSTED),
                "orders": ORDERS,
            }
        )
    )


class Model:
    """A function whose time and rows are counted."""

    def __init__(self, answer):
        self.answer, self.seconds, self.rows = answer, 0.0, 0

    def __call__(self, x):
        start = time.process_time()
        answer = self.answer(x)
        self.seconds += time.process_time() - start
        self.rows += len(x)
        return answer


def models(folder, data):
    import onnxruntime

    weights = np.array(data["weights"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    def session(name):
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(["probabilities"], {"X": np.asarray(x, dtype=np.float32)})[0]

    def line(x):
        chance = 1 / (1 + np.exp(-(x @ weights)))
        return np.column_stack([1 - chance, chance])

    return {"line": line} | {name: session(name) for name in data["models"]}


def explain(method, answer, background, row):
    """What it cost, how much of it the model, how many rows, and the attributions of class 1."""
    import shap
    from lime.lime_tabular import LimeTabularExplainer

    model = Model((lambda x: answer(x)[:, 1]) if method != "lime" else answer)
    np.random.seed(0)
    start = time.process_time()
    if method == "kernel":
        explainer = shap.KernelExplainer(model, background)
        model.seconds, model.rows, start = 0.0, 0, time.process_time()
        values = explainer.shap_values(row, l1_reg=False, silent=True)
    elif method == "permutation":
        explainer = shap.PermutationExplainer(model, shap.maskers.Independent(background, max_samples=len(background)))
        model.seconds, model.rows, start = 0.0, 0, time.process_time()
        values = explainer(row[None], max_evals=ORDERS * (2 * len(row) + 1), silent=True).values[0]
    else:
        explainer = LimeTabularExplainer(background, random_state=0)
        start = time.process_time()
        line = dict(explainer.explain_instance(row, model, labels=(1,), num_samples=5000).local_exp[1])
        values = [line.get(at, 0.0) for at in range(len(row))]
    seconds = time.process_time() - start
    return {"cpu_ms": 1e3 * seconds, "model_ms": 1e3 * model.seconds, "rows": model.rows, "values": list(values)}


def serve(folder):
    data = json.loads((folder / "data.json").read_text())
    background = np.array(data["background"]).reshape(-1, FEATURES)
    rows = np.array(data["rows"]).reshape(-1, FEATURES)
    known = models(folder, data)
    for line in sys.stdin:
        asked = json.loads(line)
        said = explain(asked["method"], known[asked["model"]], background, rows[asked["row"]])
        print(json.dumps(said), flush=True)


warnings.simplefilter("ignore")
{"make": make, "serve": serve}[sys.argv[1]](Path(sys.argv[2]))
