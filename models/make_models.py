"""Build Candor's sample model repository: every model.onnx, golden.json and background.csv.

    python make_models.py              rebuild the models next to this script
    python make_models.py --out DIR    build them somewhere else
    python make_models.py --check DIR  rebuild aside and compare with DIR; writes nothing

Everything is trained from data that scikit-learn ships, with fixed seeds and one
thread, so a rebuild on the same machine gives the same bytes. The model.toml files
are written by hand; this script never touches them.

Map of this file
    Release                 one version of one model, with its golden inputs
    iris .. simple_identity one function per model: data, training, graph, cases
    Graphs                  small helpers over onnx.helper and skl2onnx
    Golden                  running a model and writing its answers as JSON
    Build, check, main      the two commands

Golden files hold inputs and outputs in Open Inference Protocol terms (name,
datatype, shape, flat data). A golden answer `want` is met by `got` when
|got - want| <= tolerance * max(1, |want|); integers and text must be equal.
"""

import argparse
import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn import datasets
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
SEED = 0
TOLERANCE = 1e-6

# Old enough for every ONNX Runtime in use, new enough for every operator below.
OPSET = 18
OPSET_ML = 1
IR_VERSION = 8

# Enough for an average that differs little from that of all rows, few enough for a small file.
BACKGROUND_ROWS = 40

Arrays = dict[str, np.ndarray]


@dataclass
class Release:
    """One version of one model: its graph and the inputs of its golden cases."""

    name: str
    version: int
    graph: onnx.ModelProto
    cases: dict[str, Arrays]
    quality: str = ""
    background: np.ndarray | None = None


# --------------------------------------------------------------------------- Tabular


def iris() -> Iterator[Release]:
    """Standardised logistic regression; version 2 is regularised less than version 1."""
    x, x_test, y, y_test = split(*datasets.load_iris(return_X_y=True))
    for version, c in ((1, 1.0), (2, 10.0)):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-8, max_iter=1000))
        model.fit(x, y)
        accuracy = at_least(0.9, model.score(x_test, y_test), "iris accuracy")
        graph = from_sklearn(model, columns=4, outputs=["label", "probabilities"])
        cases = {
            "one setosa": {"features": f32([[5.1, 3.5, 1.4, 0.2]])},
            "one of each species": {"features": x_test[first_of_each(y_test)]},
            "between two species": {"features": f32([[6.0, 2.8, 4.9, 1.65]])},
            "all zeros": {"features": np.zeros((1, 4), np.float32)},
            "all thirty": {"features": np.full((1, 4), 30, np.float32)},
        }
        yield Release("iris", version, graph, cases, f"test accuracy {accuracy:.3f}", some_of(x))


def breast_cancer() -> Iterator[Release]:
    """A hundred boosted trees of depth three, two classes."""
    data = datasets.load_breast_cancer(return_X_y=True)
    x, x_test, y, y_test = split(*data)
    model = GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=SEED)
    model.fit(x, y)
    accuracy = at_least(0.93, model.score(x_test, y_test), "breast_cancer accuracy")
    graph = from_sklearn(model, columns=30, outputs=["label", "probabilities"])
    # Scores stay within +-2^5, and float32 carries 24 bits: 2^-19 leaves every sum exact.
    make_sums_exact(graph, step=2.0**-19)
    cases = {
        "one row": {"features": x_test[:1]},
        "five rows": {"features": x_test[1:6]},
        "all zeros": {"features": np.zeros((1, 30), np.float32)},
        "all a million": {"features": np.full((1, 30), 1e6, np.float32)},
    }
    yield Release("breast_cancer", 1, graph, cases, f"test accuracy {accuracy:.3f}", some_of(x))


def diabetes() -> Iterator[Release]:
    """A hundred small regression trees, averaged."""
    x, y = datasets.load_diabetes(return_X_y=True)
    x = f32(x)
    # Out-of-bag rows judge the forest: with so few rows, a single held-out quarter moves
    # the score by more than any setting does.
    model = RandomForestRegressor(100, max_leaf_nodes=16, oob_score=True, random_state=SEED)
    model.fit(x, y)
    r2 = at_least(0.35, model.oob_score_, "diabetes out-of-bag R2")
    graph = from_sklearn(model, columns=10, outputs=["progression"])
    # Progression stays below 2^10, and float32 carries 24 bits: 2^-14 leaves every sum exact.
    make_sums_exact(graph, step=2.0**-14)
    cases = {
        "one row": {"features": x[:1]},
        "five rows": {"features": x[1:6]},
        "all zeros": {"features": np.zeros((1, 10), np.float32)},
        "all large": {"features": np.full((1, 10), 1e6, np.float32)},
        "all negative": {"features": np.full((1, 10), -1e6, np.float32)},
    }
    yield Release("diabetes", 1, graph, cases, f"out-of-bag R2 {r2:.3f}", some_of(x))


# --------------------------------------------------------------------------- Digits


def digits() -> Iterator[Release]:
    """A small CNN: fixed random filters, then a trained linear head."""
    x, x_test, y, y_test = split(*digit_images())
    filters, pooled = 32, 32 * 4 * 4
    rng = np.random.default_rng(SEED)
    kernels = rng.normal(0, 1 / 3, (filters, 1, 3, 3))
    bias = rng.normal(0, 0.1, filters)

    body = [
        helper.make_node("Mul", ["image", "pixel_scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "kernels", "bias"], ["convolved"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["rectified"]),
        helper.make_node("MaxPool", ["rectified"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["hidden"], axis=1),
    ]
    weights = {"pixel_scale": f32(1 / 16), "kernels": f32(kernels), "bias": f32(bias)}
    image = value("image", TensorProto.FLOAT, "batch", 1, 8, 8)
    graph = with_trained_head(
        "digits", body, weights, image, pooled, x, y, c=0.3, show_logits=True
    )
    accuracy = at_least(0.95, accuracy_of(graph, "image", x_test, y_test), "digits accuracy")
    cases = {
        "one digit": {"image": x_test[:1]},
        "four digits": {"image": x_test[1:5]},
        "blank": {"image": np.zeros((1, 1, 8, 8), np.float32)},
        "all ink": {"image": np.full((1, 1, 8, 8), 16, np.float32)},
        "negative ink": {"image": np.full((1, 1, 8, 8), -16, np.float32)},
    }
    yield Release("digits", 1, graph, cases, f"test accuracy {accuracy:.3f}")


def digits_rows() -> Iterator[Release]:
    """A digit read row by row: a fixed random GRU, then a trained linear head."""
    images, labels = digit_images()
    x, x_test, y, y_test = split(images[:, 0], labels)
    units = 80
    rng = np.random.default_rng(SEED)
    # Gates come in ONNX order: update, reset, hidden.
    from_input = rng.normal(0, 0.6, (1, 3 * units, 8))
    from_state = rng.normal(0, 0.9 / np.sqrt(units), (1, 3 * units, units))
    # A positive update bias makes the state slow, so that the first rows are still
    # remembered at the last one.
    bias = np.zeros((1, 6 * units))
    bias[0, :units] = rng.uniform(0, 3, units)

    body = [
        helper.make_node("Mul", ["rows", "pixel_scale"], ["scaled"]),
        # ONNX Runtime's CPU GRU wants time first.
        helper.make_node("Transpose", ["scaled"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU", ["steps", "from_input", "from_state", "bias"], ["", "last"], hidden_size=units
        ),
        helper.make_node("Squeeze", ["last", "direction_axis"], ["hidden"]),
    ]
    weights = {
        "pixel_scale": f32(1 / 16),
        "from_input": f32(from_input),
        "from_state": f32(from_state),
        "bias": f32(bias),
        "direction_axis": np.array([0], np.int64),
    }
    rows = value("rows", TensorProto.FLOAT, "batch", "time", 8)
    graph = with_trained_head(
        "digits_rows", body, weights, rows, units, x, y, c=30.0, show_logits=False
    )
    accuracy = at_least(0.85, accuracy_of(graph, "rows", x_test, y_test), "digits_rows accuracy")
    cases = {
        "one digit": {"rows": x_test[:1]},
        "four digits": {"rows": x_test[1:5]},
        "first row only": {"rows": x_test[:1, :1]},
        "two digits on end": {"rows": x_test[:2].reshape(1, 16, 8)},
        "blank": {"rows": np.zeros((1, 8, 8), np.float32)},
        "negative ink": {"rows": np.full((1, 8, 8), -16, np.float32)},
    }
    yield Release("digits_rows", 1, graph, cases, f"test accuracy {accuracy:.3f}")


def digit_images() -> tuple[np.ndarray, np.ndarray]:
    data = datasets.load_digits()
    return data.images[:, np.newaxis], data.target


def with_trained_head(
    name: str,
    body: list[onnx.NodeProto],
    weights: Arrays,
    source: onnx.ValueInfoProto,
    width: int,
    x: np.ndarray,
    y: np.ndarray,
    c: float,
    show_logits: bool,
) -> onnx.ModelProto:
    """Train a logistic head on what `body` computes as `hidden`, and append it."""
    features = make_graph(
        name, body, weights, [source], [value("hidden", TensorProto.FLOAT, "batch", width)]
    )
    # The head is trained on ONNX Runtime's own features, so nothing is lost in translation.
    hidden = run(features, {source.name: x})["hidden"].astype(np.float64)
    head = LogisticRegression(C=c, tol=1e-6, max_iter=5000).fit(hidden, y)
    nodes = body + [
        helper.make_node("Gemm", ["hidden", "head_weights", "head_bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    head_weights = {"head_weights": f32(head.coef_), "head_bias": f32(head.intercept_)}
    outputs = [
        value("label", TensorProto.INT64, "batch"),
        value("probabilities", TensorProto.FLOAT, "batch", 10),
    ]
    if show_logits:
        outputs.append(value("logits", TensorProto.FLOAT, "batch", 10))
    return make_graph(name, nodes, weights | head_weights, [source], outputs)


# --------------------------------------------------------------------------- Protocol examples


def simple() -> Iterator[Release]:
    """Sum and difference of two integer tensors, as Triton's client examples expect."""
    graph = make_graph(
        "simple",
        [
            helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
            helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
        ],
        {},
        [value(name, TensorProto.INT32, "batch", 16) for name in ("INPUT0", "INPUT1")],
        [value(name, TensorProto.INT32, "batch", 16) for name in ("OUTPUT0", "OUTPUT1")],
    )
    cases = {name: {"INPUT0": a, "INPUT1": b} for name, (a, b) in integer_pairs().items()}
    yield Release("simple", 1, graph, cases)


def simple_string() -> Iterator[Release]:
    """The same over integers written as text."""
    nodes = [
        helper.make_node("Cast", ["INPUT0"], ["left"], to=TensorProto.INT32),
        helper.make_node("Cast", ["INPUT1"], ["right"], to=TensorProto.INT32),
        helper.make_node("Add", ["left", "right"], ["sum"]),
        helper.make_node("Sub", ["left", "right"], ["difference"]),
        helper.make_node("Cast", ["sum"], ["OUTPUT0"], to=TensorProto.STRING),
        helper.make_node("Cast", ["difference"], ["OUTPUT1"], to=TensorProto.STRING),
    ]
    graph = make_graph(
        "simple_string",
        nodes,
        {},
        [value(name, TensorProto.STRING, "batch", 16) for name in ("INPUT0", "INPUT1")],
        [value(name, TensorProto.STRING, "batch", 16) for name in ("OUTPUT0", "OUTPUT1")],
    )
    cases = {
        name: {"INPUT0": as_text(a), "INPUT1": as_text(b)}
        for name, (a, b) in integer_pairs().items()
    }
    yield Release("simple_string", 1, graph, cases)


def simple_identity() -> Iterator[Release]:
    """Text in, the same text out."""
    graph = make_graph(
        "simple_identity",
        [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])],
        {},
        [value("INPUT0", TensorProto.STRING, "batch", "items")],
        [value("OUTPUT0", TensorProto.STRING, "batch", "items")],
    )
    cases = {
        "one word": {"INPUT0": text([["candor"]])},
        "three rows of two": {"INPUT0": text([["a", "b"], ["c", "d"], ["e", "f"]])},
        "empty strings": {"INPUT0": text([["", "", ""]])},
        "not ASCII": {"INPUT0": text([["naïve", "Привет", "日本語", "🦀", "e\u0301"]])},
        "awkward in JSON": {"INPUT0": text([['"', "\\", "line\nbreak", "tab\t", " ", "\u2028"]])},
    }
    yield Release("simple_identity", 1, graph, cases)


def integer_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of [batch, 16] tensors whose sums and differences fit in 32 bits."""
    count, ones = i32([range(16)]), np.ones((1, 16), np.int32)
    most = np.iinfo(np.int32).max
    edge = [most, -most, most - 1, 0, 1, -1, 2**24 + 1, -(2**24) - 1] * 2
    return {
        "count and ones": (count, ones),
        "eight rows": (i32(np.arange(128).reshape(8, 16)), i32(np.arange(128).reshape(8, 16) * 3)),
        "all zeros": (ones * 0, ones * 0),
        "negative": (-count, count * 1000),
        "largest and zero": (i32([edge]), ones * 0),
    }


# --------------------------------------------------------------------------- Data


def split(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Hold out a quarter. Data become float32 first: the graphs see nothing finer."""
    return train_test_split(f32(x), y, test_size=0.25, random_state=SEED, stratify=y)


def first_of_each(y: np.ndarray) -> np.ndarray:
    return np.unique(y, return_index=True)[1]


def some_of(x: np.ndarray) -> np.ndarray:
    """Rows of the training data that stand for "absent" in explanations, evenly spread over it."""
    return x[np.linspace(0, len(x) - 1, BACKGROUND_ROWS).astype(int)]


def f32(values) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def i32(values) -> np.ndarray:
    return np.asarray(values, dtype=np.int32)


def text(values) -> np.ndarray:
    return np.asarray(values, dtype=object)


def as_text(integers: np.ndarray) -> np.ndarray:
    return text([[str(v) for v in row] for row in integers])


def at_least(bound: float, score: float, what: str) -> float:
    if score < bound:
        raise SystemExit(f"{what} is {score:.4f}, wanted at least {bound}")
    return score


def accuracy_of(graph: onnx.ModelProto, source: str, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(run(graph, {source: x})["label"] == y))


# --------------------------------------------------------------------------- Graphs


def value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def make_graph(
    name: str,
    nodes: list[onnx.NodeProto],
    weights: Arrays,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    constants = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def from_sklearn(model, columns: int, outputs: list[str]) -> onnx.ModelProto:
    """Convert a fitted estimator; its outputs are plain tensors with the given names."""
    classifier = hasattr(model, "predict_proba")
    converted = to_onnx(
        model,
        initial_types=[("features", FloatTensorType([None, columns]))],
        options={id(model): {"zipmap": False}} if classifier else None,
        target_opset={"": OPSET, "ai.onnx.ml": OPSET_ML},
    )
    graph = converted.graph
    renamed = {old.name: new for old, new in zip(graph.output, outputs, strict=True)}
    for node in graph.node:
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for info in graph.output:
        info.name = renamed[info.name]
    for info in (*graph.input, *graph.output):
        info.type.tensor_type.shape.dim[0].dim_param = "batch"
    # The converter may list a domain twice, which some readers refuse.
    del converted.opset_import[:]
    converted.opset_import.append(helper.make_opsetid("", OPSET))
    converted.opset_import.append(helper.make_opsetid("ai.onnx.ml", OPSET_ML))
    return converted


def make_sums_exact(model: onnx.ModelProto, step: float) -> None:
    """Round the leaves of a tree ensemble to multiples of `step`, a power of two.

    A runtime may add up the trees in any order, by thread. Float addition is exact, and
    so gives the same sum in any order, when every partial sum is a multiple of one step
    and needs no more than 24 bits.
    """
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("class_weights", "target_weights", "base_values"):
                rounded = np.round(np.array(attribute.floats) / step) * step
                attribute.floats[:] = rounded.tolist()


def finish(release: Release) -> bytes:
    """Set the fields that say who made the file, check it, and serialise it."""
    model = release.graph
    model.ir_version = IR_VERSION
    model.producer_name = "candor-sample-models"
    model.producer_version = ""
    model.domain = ""
    model.model_version = release.version
    model.doc_string = ""
    model.graph.name = release.name
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


# --------------------------------------------------------------------------- Golden


DATATYPES = {"float32": "FP32", "int32": "INT32", "int64": "INT64", "object": "BYTES"}


def run(model: onnx.ModelProto | bytes, inputs: Arrays) -> Arrays:
    """Answer with ONNX Runtime on one thread, so that sums have one order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not isinstance(model, bytes):
        model = model.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def golden(release: Release, model: bytes) -> dict:
    cases = [
        {"name": name, "inputs": tensors(inputs), "outputs": tensors(run(model, inputs))}
        for name, inputs in release.cases.items()
    ]
    made_by = f"onnxruntime {onnxruntime.__version__}"
    return {"made_by": made_by, "tolerance": TOLERANCE, "cases": cases}


def tensors(arrays: Arrays) -> list[dict]:
    return [
        {
            "name": name,
            "datatype": DATATYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data": flat(array),
        }
        for name, array in arrays.items()
    ]


def flat(array: np.ndarray) -> list:
    if array.dtype != np.float32:
        return array.ravel().tolist()
    if not np.isfinite(array).all():
        raise SystemExit("a golden value is not finite; JSON cannot hold it")
    # str() of a float32 is the shortest text that reads back as the same float32.
    return [float(str(item)) for item in array.ravel()]


def background_text(release: Release) -> str:
    """CSV with the names of the features, which only model.toml knows."""
    manifest = tomllib.loads((HERE / release.name / "model.toml").read_text("utf-8"))
    names = [feature["name"] for feature in manifest["inputs"][0]["features"]]
    rows = [[str(value) for value in f32(row)] for row in release.background]
    return "".join(",".join(line) + "\n" for line in [names, *rows])


def golden_text(content: dict) -> str:
    """JSON with one tensor per line, which is what a reader wants to see in a diff."""
    cases = []
    for case in content["cases"]:
        parts = [f'{{"name":{dumps(case["name"])}']
        for side in ("inputs", "outputs"):
            lines = ",\n ".join(dumps(tensor) for tensor in case[side])
            parts.append(f'"{side}":[\n {lines}]')
        cases.append(",".join(parts) + "}")
    head = f'{{"made_by":{dumps(content["made_by"])},"tolerance":{content["tolerance"]!r},"cases":['
    return head + "\n" + ",\n".join(cases) + "\n]}\n"


def dumps(item) -> str:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


def arrays_of(listed: list[dict]) -> Arrays:
    kinds = {datatype: kind for kind, datatype in DATATYPES.items()}
    return {
        tensor["name"]: np.array(tensor["data"], kinds[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in listed
    }


def differences(want: Arrays, got: Arrays) -> Iterator[str]:
    if want.keys() != got.keys():
        yield f"tensors {sorted(want)} became {sorted(got)}"
        return
    for name, expected in want.items():
        actual = got[name]
        if (expected.dtype, expected.shape) != (actual.dtype, actual.shape):
            yield f"{name} has another type or shape"
        elif expected.dtype == np.float32:
            a, b = expected.astype(np.float64), actual.astype(np.float64)
            worst = np.max(np.abs(a - b) / np.maximum(1, np.abs(a)), initial=0)
            if not worst <= TOLERANCE:
                yield f"{name} is off by {worst:.2e}"
        elif not np.array_equal(expected, actual):
            yield f"{name} differs"


# --------------------------------------------------------------------------- Build, check, main


MODELS = (
    iris,
    breast_cancer,
    diabetes,
    digits,
    digits_rows,
    simple,
    simple_string,
    simple_identity,
)


def build(out: Path) -> None:
    for make in MODELS:
        for release in make():
            model = finish(release)
            folder = out / release.name / str(release.version)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.onnx").write_bytes(model)
            content = golden_text(golden(release, model)).encode()
            (folder / "golden.json").write_bytes(content)
            if release.background is not None:
                (out / release.name / "background.csv").write_text(background_text(release), "utf-8")
            print(
                f"{release.name}/{release.version}: model {len(model)} bytes,"
                f" golden {len(content)} bytes {release.quality}".rstrip()
            )


def check(committed: Path) -> list[str]:
    """Compare the committed golden answers with a fresh build and with the committed models."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        build(fresh)
        here, there = goldens(committed), goldens(fresh)
        problems = [f"{path}: not in both" for path in sorted(here ^ there)]
        for path in sorted(here & there):
            problems += [f"{path}: {problem}" for problem in compare(committed, fresh, path)]
    return problems


def goldens(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.glob("*/*/golden.json")}


def compare(committed: Path, fresh: Path, path: Path) -> Iterator[str]:
    old, new = (json.loads((root / path).read_text("utf-8")) for root in (committed, fresh))
    if [case["name"] for case in old["cases"]] != [case["name"] for case in new["cases"]]:
        yield "has other cases"
        return
    model = (committed / path).with_name("model.onnx").read_bytes()
    for was, now in zip(old["cases"], new["cases"], strict=True):
        inputs, want = arrays_of(was["inputs"]), arrays_of(was["outputs"])
        against = {
            "rebuilt inputs": differences(inputs, arrays_of(now["inputs"])),
            "rebuilt outputs": differences(want, arrays_of(now["outputs"])),
            "committed model": differences(want, run(model, inputs)),
        }
        for what, found in against.items():
            for problem in found:
                yield f"case '{was['name']}', {what}: {problem}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Build or check the sample models.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--out", type=Path, default=HERE, help="where to write (default: here)")
    mode.add_argument("--check", type=Path, metavar="DIR", help="compare with DIR; write nothing")
    arguments = parser.parse_args()
    # One thread: a sum split over threads may come out different in the last digit.
    with threadpool_limits(limits=1):
        if arguments.check is None:
            build(arguments.out)
            return 0
        problems = check(arguments.check)
    print("\n".join(problems) or "golden answers agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
