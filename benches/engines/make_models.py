"""Make the models that the engines are measured on, and rows for them.

    python make_models.py FOLDER

Too large to be committed: `cargo xtask bench engines` makes them below target/. Each `<name>.onnx` has one
float32 input [rows, features]; `<name>.rows` holds ROWS rows for it, little-endian; models.json says how many
trees, nodes and features each has.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from lightgbm import LGBMClassifier
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier, XGBRegressor

SEED = 0
ROWS = 1024
TRAINED = 6000


def classes(count: int, features: int = 30) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_classification(
        TRAINED + ROWS, features, n_informative=features // 2, n_classes=count, flip_y=0.05, random_state=SEED
    )
    return x.astype(np.float32), y


def numbers(features: int = 30) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_regression(TRAINED + ROWS, features, noise=10, random_state=SEED)
    return x.astype(np.float32), y


def models():
    """Name, estimator, data."""
    quiet = {"random_state": SEED, "n_jobs": 2}
    for trees, depth in ((100, 3), (500, 3), (100, 6)):
        model = GradientBoostingClassifier(n_estimators=trees, max_depth=depth, subsample=0.3, random_state=SEED)
        yield f"boosting, binary, {trees} × depth {depth}", model, classes(2)
    model = GradientBoostingRegressor(n_estimators=300, max_depth=4, subsample=0.3, random_state=SEED)
    yield "boosting, regression, 300 × depth 4", model, numbers()
    for trees in (100, 500):
        yield f"XGBoost, binary, {trees} × depth 6", XGBClassifier(n_estimators=trees, max_depth=6, **quiet), classes(2)
    yield "XGBoost, 5 classes, 5 × 100 × depth 4", XGBClassifier(n_estimators=100, max_depth=4, **quiet), classes(5)
    yield "XGBoost, regression, 300 × depth 6", XGBRegressor(n_estimators=300, max_depth=6, **quiet), numbers()
    yield "LightGBM, binary, 300 × 31 leaves", LGBMClassifier(n_estimators=300, verbose=-1, **quiet), classes(2)
    yield "forest, binary, 100 deep", RandomForestClassifier(100, **quiet), classes(2)
    yield "forest, 5 classes, 300 deep", RandomForestClassifier(n_estimators=300, **quiet), classes(5)
    yield "forest, regression, 100 deep", RandomForestRegressor(n_estimators=100, **quiet), numbers()
    yield "logistic, binary", LogisticRegression(max_iter=300), classes(2, 50)
    yield "logistic, 5 classes", LogisticRegression(max_iter=300), classes(5, 50)
    yield "linear", LinearRegression(), numbers(100)
    boosting = GradientBoostingClassifier(n_estimators=100, max_depth=3, subsample=0.3, random_state=SEED)
    yield "imputer, scaler, boosting 100 × depth 3", make_pipeline(SimpleImputer(), StandardScaler(), boosting), classes(2)
    line = LogisticRegression(max_iter=300)
    yield "imputer, scaler, logistic", make_pipeline(SimpleImputer(), StandardScaler(), line), classes(2)
    yield "SVC, radial, binary", SVC(), tuple(part[:2000] for part in classes(2))


def exported(model, features: int) -> onnx.ModelProto:
    if isinstance(model, (XGBClassifier, XGBRegressor)):
        return convert_xgboost(model, initial_types=[("x", ToolsFloat([None, features]))], target_opset=15)
    if isinstance(model, LGBMClassifier):
        return convert_lightgbm(
            model, initial_types=[("x", ToolsFloat([None, features]))], target_opset=15, zipmap=False
        )
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    return to_onnx(model, initial_types=[("x", FloatTensorType([None, features]))], options=options)


def size(graph: onnx.GraphProto) -> tuple[int, int]:
    """Trees and their nodes."""
    ids = [a.ints for node in graph.node for a in node.attribute if a.name == "nodes_treeids"]
    return sum(len(set(each)) for each in ids), sum(len(each) for each in ids)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for at, (title, model, (x, y)) in enumerate(models()):
        model.fit(x[:-ROWS], y[:-ROWS])
        graph = exported(model, x.shape[1])
        trees, nodes = size(graph.graph)
        (folder / f"{at}.onnx").write_bytes(graph.SerializeToString())
        (folder / f"{at}.rows").write_bytes(np.ascontiguousarray(x[-ROWS:], "<f4").tobytes())
        made.append({"title": title, "file": str(at), "features": x.shape[1], "trees": trees, "nodes": nodes})
        print(f"  {title}: {trees} trees, {nodes} nodes", flush=True)
    (folder / "models.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
