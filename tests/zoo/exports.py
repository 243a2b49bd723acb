"""The models of the zoo: each trained small, exported as people export it.

`entries()` gives them all. A model is named `<library>_<what>`; `sk` is scikit-learn, `xgb` XGBoost, `lgb`
LightGBM. This file knows how to train and export, make_zoo.py what to do with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import pandas
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (
    calibration,
    cluster,
    compose,
    datasets,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    impute,
    linear_model,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier

SEED = 0
TREES = 12
DEPTH = 4
# Rows that a library answers, of which make_zoo.py keeps a few.
JUDGED = 20

Rows = dict[str, np.ndarray]


@dataclass
class Entry:
    """One model: its graph, rows by input, answers by output (none where they cannot be compared)."""

    name: str
    library: str
    graph: onnx.ModelProto
    rows: Rows
    answers: Rows | None


def plain_integers(make: Callable) -> Callable:
    """skl2onnx 1.20 hands lists of numpy's integers to onnx, which since 1.23 takes Python's only."""

    def patched(key, value, *rest, **more):
        if isinstance(value, list) and value and isinstance(value[0], np.integer):
            value = [int(number) for number in value]
        return make(key, value, *rest, **more)

    return patched


onnx.helper.make_attribute = plain_integers(onnx.helper.make_attribute)


# --------------------------------------------------------------------------- Data


def binary() -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return x[:, :8].astype(np.float32), y


def multi() -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.load_iris(return_X_y=True)
    return x.astype(np.float32), y


def numbers() -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.load_diabetes(return_X_y=True)
    return x.astype(np.float32), y


def two_words() -> tuple[np.ndarray, np.ndarray]:
    x, y = binary()
    return x, datasets.load_breast_cancer().target_names[y].astype(object)


def categories() -> tuple[np.ndarray, np.ndarray]:
    """Two columns of category numbers whose order says nothing."""
    x, y = binary()
    ranks = x[:, :2].argsort(axis=0).argsort(axis=0) * 12 // len(x)
    names = np.random.default_rng(SEED).permutation(12)
    return np.concatenate([names[ranks], x[:, 2:4]], axis=1).astype(np.float32), y


def words() -> tuple[np.ndarray, np.ndarray]:
    x, y = multi()
    return x, datasets.load_iris().target_names[y].astype(object)


def scaled(data: Callable = binary) -> tuple[np.ndarray, np.ndarray]:
    x, y = data()
    return preprocessing.StandardScaler().fit_transform(x).astype(np.float32), y


def holes(data: Callable) -> Callable:
    def make() -> tuple[np.ndarray, np.ndarray]:
        x, y = data()
        x = x.copy()
        x[np.random.default_rng(SEED).random(x.shape) < 0.1] = np.nan
        return x, y

    return make


def shuffled(data: Callable) -> tuple[np.ndarray, np.ndarray]:
    x, y = data()
    order = np.random.default_rng(SEED).permutation(len(x))
    return x[order], y[order]


# --------------------------------------------------------------------------- scikit-learn


def sk(name, model, data=multi, kind=FloatTensorType, options=None, answers=True, **arguments) -> Entry:
    """Trains and exports; classifiers give label and probabilities."""
    x, y = shuffled(data)
    model.fit(x, y)
    options = {"zipmap": False} if options is None and is_classifier(model) else options
    options = {id(model): options} if options else None
    graph = to_onnx(model, initial_types=[("x", kind([None, x.shape[1]]))], options=options, **arguments)
    rows = x[:JUDGED]
    rows = rows.astype({DoubleTensorType: np.float64, Int64TensorType: np.int64}.get(kind, np.float32))
    return Entry(f"sk_{name}", "scikit-learn", graph, {"x": rows}, judged(model, graph, rows) if answers else None)


def is_classifier(model) -> bool:
    last = model.steps[-1][1] if isinstance(model, pipeline.Pipeline) else model
    return getattr(last, "_estimator_type", None) == "classifier" or hasattr(last, "classes_")


def judged(model, graph: onnx.ModelProto, rows) -> Rows:
    """What the library answers, by the names that the graph gives its outputs."""
    names = [output.name for output in graph.graph.output]
    if not hasattr(model, "predict"):
        return {names[0]: model.transform(rows)}
    answers = {names[0]: model.predict(rows)}
    if len(names) > 1 and hasattr(model, "predict_proba"):
        answers[names[1]] = model.predict_proba(rows)
    return answers


def trees() -> Iterator[Entry]:
    small = {"n_estimators": TREES, "max_depth": DEPTH, "random_state": SEED}
    for name, data in (("binary", binary), ("multi", multi), ("words", words), ("two_words", two_words)):
        yield sk(f"tree_{name}", tree.DecisionTreeClassifier(max_depth=5, random_state=SEED), data)
        yield sk(f"forest_{name}", ensemble.RandomForestClassifier(**small), data)
        yield sk(f"extra_{name}", ensemble.ExtraTreesClassifier(**small), data)
        yield sk(f"boosting_{name}", ensemble.GradientBoostingClassifier(**{**small, "max_depth": 3}), data)
    yield sk("tree_numbers", tree.DecisionTreeRegressor(max_depth=5, random_state=SEED), numbers)
    yield sk("forest_numbers", ensemble.RandomForestRegressor(**small), numbers)
    yield sk("extra_numbers", ensemble.ExtraTreesRegressor(**small), numbers)
    yield sk("boosting_numbers", ensemble.GradientBoostingRegressor(**{**small, "max_depth": 3}), numbers)
    yield sk("boosting_huber", ensemble.GradientBoostingRegressor(loss="huber", **{**small, "max_depth": 3}), numbers)
    yield sk("boosting_exponential", ensemble.GradientBoostingClassifier(loss="exponential", **small), binary)
    yield sk("forest_deep", ensemble.RandomForestClassifier(n_estimators=5, random_state=SEED), binary)
    yield sk("forest_targets", ensemble.RandomForestRegressor(**small), targets)
    ml = {"": 18, "ai.onnx.ml": 3}
    lonely = ensemble.IsolationForest(n_estimators=6, max_samples=32, random_state=SEED)
    yield sk("isolation", lonely, binary, target_opset=ml)
    double = {"kind": DoubleTensorType, "target_opset": ml}
    yield sk("forest_binary_double", ensemble.RandomForestClassifier(**small), binary, **double)
    raw = {"raw_scores": True, "zipmap": False}
    for name, data in (("binary", binary), ("multi", multi)):
        model = ensemble.GradientBoostingClassifier(**small)
        yield sk(f"boosting_raw_{name}", model, data, options=raw, answers=False)


def targets() -> tuple[np.ndarray, np.ndarray]:
    x, y = numbers()
    return x, np.stack([y, -2 * y, y**0.5], axis=1)


def histograms() -> Iterator[Entry]:
    small = {"max_iter": TREES, "max_depth": DEPTH, "random_state": SEED}
    classifier, regressor = ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor
    for name, data in (("binary", binary), ("multi", multi), ("missing", holes(binary))):
        yield sk(f"hist_{name}", classifier(**small), data)
    yield sk("hist_numbers", regressor(**small), numbers)
    yield sk("hist_numbers_missing", regressor(**small), holes(numbers))
    # skl2onnx 1.20 leaves the exponential out.
    yield sk("hist_poisson", regressor(loss="poisson", **small), numbers, answers=False)


def meta() -> Iterator[Entry]:
    stump = tree.DecisionTreeClassifier(max_depth=2, random_state=SEED)
    yield sk("adaboost_multi", ensemble.AdaBoostClassifier(stump, n_estimators=5, random_state=SEED))
    yield sk("adaboost_binary", ensemble.AdaBoostClassifier(stump, n_estimators=5, random_state=SEED), binary)
    weak = tree.DecisionTreeRegressor(max_depth=3, random_state=SEED)
    yield sk("adaboost_numbers", ensemble.AdaBoostRegressor(weak, n_estimators=5, random_state=SEED), numbers)
    yield sk("bagging_multi", ensemble.BaggingClassifier(stump, n_estimators=5, random_state=SEED))
    yield sk("bagging_numbers", ensemble.BaggingRegressor(weak, n_estimators=5, random_state=SEED), numbers)
    several = [("tree", stump), ("line", linear_model.LogisticRegression()), ("bayes", naive_bayes.GaussianNB())]
    yield sk("voting_soft", ensemble.VotingClassifier(several, voting="soft", flatten_transform=False))
    yield sk("voting_hard", ensemble.VotingClassifier(several, voting="hard", flatten_transform=False))
    fits = [("tree", weak), ("line", linear_model.Ridge())]
    yield sk("voting_numbers", ensemble.VotingRegressor(fits), numbers)
    yield sk("stacking_multi", ensemble.StackingClassifier(several, linear_model.LogisticRegression()))
    yield sk("stacking_numbers", ensemble.StackingRegressor(fits, linear_model.Ridge()), numbers)
    base = tree.DecisionTreeClassifier(max_depth=3, random_state=SEED)
    for method in ("sigmoid", "isotonic"):
        yield sk(f"calibrated_{method}", calibration.CalibratedClassifierCV(base, method=method, cv=3))
    yield sk("one_vs_rest", multiclass.OneVsRestClassifier(linear_model.LogisticRegression()))
    yield sk("one_vs_one", multiclass.OneVsOneClassifier(linear_model.LogisticRegression()))
    yield sk("several_answers", multioutput.MultiOutputRegressor(linear_model.Ridge()), targets)


def lines() -> Iterator[Entry]:
    logistic = linear_model.LogisticRegression
    yield sk("logistic_binary", logistic(max_iter=1000), scaled)
    yield sk("logistic_multi", logistic(max_iter=1000))
    yield sk("logistic_words", logistic(max_iter=1000), words)
    yield sk("logistic_raw", logistic(max_iter=1000), options={"raw_scores": True, "zipmap": False}, answers=False)
    yield sk("logistic_zipmap", logistic(max_iter=1000), options={"zipmap": True}, answers=False)
    yield sk("logistic_words_zipmap", logistic(max_iter=1000), words, options={"zipmap": True}, answers=False)
    yield sk("logistic_columns", logistic(max_iter=1000), options={"zipmap": "columns"}, answers=False)
    yield sk("logistic_double", logistic(max_iter=1000), kind=DoubleTensorType)
    yield sk("linear", linear_model.LinearRegression(), numbers)
    yield sk("linear_targets", linear_model.LinearRegression(), targets)
    yield sk("linear_double", linear_model.LinearRegression(), numbers, kind=DoubleTensorType)
    yield sk("ridge", linear_model.Ridge(), numbers)
    yield sk("lasso", linear_model.Lasso(alpha=0.1), numbers)
    yield sk("elastic", linear_model.ElasticNet(alpha=0.01), numbers)
    yield sk("poisson", linear_model.PoissonRegressor(), numbers)
    yield sk("sgd_log", linear_model.SGDClassifier(loss="log_loss", random_state=SEED), scaled)
    yield sk("sgd_hinge", linear_model.SGDClassifier(random_state=SEED))
    yield sk("sgd_huber", linear_model.SGDClassifier(loss="modified_huber", random_state=SEED), answers=False)
    yield sk("sgd_numbers", linear_model.SGDRegressor(random_state=SEED), numbers)
    yield sk("perceptron", linear_model.Perceptron(random_state=SEED))
    yield sk("ridge_classes", linear_model.RidgeClassifier())


def machines() -> Iterator[Entry]:
    """Support vectors; few rows, because they are the model."""
    few = lambda data: lambda: tuple(part[:60] for part in shuffled(data))
    two, three, some = few(scaled), few(multi), few(lambda: scaled(numbers))
    for kernel in ("rbf", "poly", "linear", "sigmoid"):
        yield sk(f"svc_{kernel}_binary", svm.SVC(kernel=kernel), two)
        yield sk(f"svc_{kernel}_multi", svm.SVC(kernel=kernel), three)
    for name, data in (("binary", two), ("multi", three)):
        # Deprecated in scikit-learn, and in many files.
        yield sk(f"svc_probability_{name}", svm.SVC(probability=True, random_state=SEED), data)
        yield sk(f"nusvc_probability_{name}", svm.NuSVC(nu=0.3, probability=True, random_state=SEED), data)
    yield sk("svc_words", svm.SVC(), few(words))
    yield sk("nusvc", svm.NuSVC(nu=0.3), three)
    yield sk("svc_calibrated", calibration.CalibratedClassifierCV(svm.LinearSVC(random_state=SEED), cv=3), two)
    for kernel in ("rbf", "poly", "linear", "sigmoid"):
        yield sk(f"svr_{kernel}", svm.SVR(kernel=kernel), some)
    yield sk("nusvr", svm.NuSVR(), some)
    yield sk("linear_svc_binary", svm.LinearSVC(random_state=SEED), two, options={})
    yield sk("linear_svc_multi", svm.LinearSVC(random_state=SEED), three, options={})
    yield sk("linear_svr", svm.LinearSVR(random_state=SEED), some)
    yield sk("one_class_svm", svm.OneClassSVM(nu=0.2), two)


def others() -> Iterator[Entry]:
    few = lambda data: lambda: tuple(part[:60] for part in shuffled(data))
    yield sk("neighbours", neighbors.KNeighborsClassifier(3), few(multi))
    # Rows that were trained on have the distance zero, and the graph another small number.
    weighted = neighbors.KNeighborsClassifier(3, weights="distance")
    yield sk("neighbours_weighted", weighted, few(multi), answers=False)
    yield sk("neighbours_numbers", neighbors.KNeighborsRegressor(3), few(numbers))
    yield sk("bayes_gaussian", naive_bayes.GaussianNB())
    yield sk("bayes_bernoulli", naive_bayes.BernoulliNB(binarize=3.0))
    yield sk("bayes_multinomial", naive_bayes.MultinomialNB())
    yield sk("bayes_complement", naive_bayes.ComplementNB())
    yield sk("discriminant", discriminant_analysis.LinearDiscriminantAnalysis())
    yield sk("discriminant_quadratic", discriminant_analysis.QuadraticDiscriminantAnalysis(), answers=False)
    layers = {"hidden_layer_sizes": (8,), "max_iter": 300, "random_state": SEED}
    yield sk("network_multi", neural_network.MLPClassifier(**layers))
    yield sk("network_binary", neural_network.MLPClassifier(activation="tanh", **layers), scaled)
    yield sk("network_numbers", neural_network.MLPRegressor(activation="logistic", **layers), numbers)
    yield sk("clusters", cluster.KMeans(3, n_init=1, random_state=SEED), answers=False)


# --------------------------------------------------------------------------- Pipelines


def steps() -> Iterator[Entry]:
    line = lambda: linear_model.LogisticRegression(max_iter=1000)
    for name, first in (
        ("standard", preprocessing.StandardScaler()),
        ("minmax", preprocessing.MinMaxScaler()),
        ("minmax_clipped", preprocessing.MinMaxScaler(clip=True)),
        ("robust", preprocessing.RobustScaler()),
        ("maxabs", preprocessing.MaxAbsScaler()),
        ("l1", preprocessing.Normalizer("l1")),
        ("l2", preprocessing.Normalizer("l2")),
        ("max", preprocessing.Normalizer("max")),
        ("binarizer", preprocessing.Binarizer(threshold=3.0)),
        ("pca", decomposition.PCA(2)),
        ("pca_whitened", decomposition.PCA(2, whiten=True)),
        ("svd", decomposition.TruncatedSVD(2, random_state=SEED)),
        ("polynomial", preprocessing.PolynomialFeatures(2)),
        ("bins", preprocessing.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf")),
        ("bins_ordinal", preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf")),
        ("power", preprocessing.PowerTransformer()),
        ("selected", feature_selection.SelectKBest(k=2)),
        ("union", pipeline.FeatureUnion([("a", preprocessing.StandardScaler()), ("b", decomposition.PCA(2))])),
    ):
        yield sk(f"pipe_{name}", pipeline.make_pipeline(first, line()))
    small = ensemble.RandomForestClassifier(TREES, max_depth=DEPTH, random_state=SEED)
    for strategy in ("mean", "median", "most_frequent", "constant"):
        filled = impute.SimpleImputer(strategy=strategy, fill_value=-1 if strategy == "constant" else None)
        yield sk(f"pipe_impute_{strategy}", pipeline.make_pipeline(filled, small), holes(multi))
    yield sk("scaler_alone", preprocessing.StandardScaler(), numbers)
    yield sk("scaler_double", preprocessing.StandardScaler(), numbers, kind=DoubleTensorType)
    whole = lambda: (np.floor(multi()[0]), multi()[1])
    onehot = preprocessing.OneHotEncoder(handle_unknown="ignore")
    yield sk("pipe_onehot_whole", pipeline.make_pipeline(onehot, line()), whole, kind=Int64TensorType)
    yield sk("forest_whole", small, whole, kind=Int64TensorType)


def columns() -> Iterator[Entry]:
    """Tables of strings and numbers, one input per column."""
    rng = np.random.default_rng(SEED)
    x, y = multi()
    table = {
        "colour": rng.choice(["red", "green", "blue"], len(x)),
        "size": rng.choice(["S", "M", "L", "XL"], len(x)),
        "width": x[:, 0],
        "height": (x[:, 1] + 3 * y).astype(np.float32),
        "count": rng.integers(0, 5, len(x)),
    }
    frame = pandas.DataFrame({name: c.astype(object) if c.dtype.kind == "U" else c for name, c in table.items()})
    numeric = ["width", "height"]
    onehot = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    ordinal = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    imputed = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    small = ensemble.GradientBoostingClassifier(n_estimators=5, max_depth=3, random_state=SEED)
    line = linear_model.LogisticRegression(max_iter=1000)
    for name, text, last in (
        ("onehot_logistic", onehot, line),
        ("onehot_boosting", onehot, small),
        ("ordinal_boosting", ordinal, small),
    ):
        split = [("text", text, ["colour", "size"]), ("numbers", imputed, numeric), ("count", "passthrough", ["count"])]
        model = pipeline.make_pipeline(compose.ColumnTransformer(split), last)
        model.fit(frame, y)
        kinds = {"colour": StringTensorType, "size": StringTensorType, "count": Int64TensorType}
        types = [(column, kinds.get(column, FloatTensorType)([None, 1])) for column in frame.columns]
        graph = to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}})
        head = frame.head(JUDGED)
        rows = {column: head[[column]].to_numpy() for column in frame.columns}
        yield Entry(f"sk_columns_{name}", "scikit-learn", graph, rows, judged(model, graph, head))


# --------------------------------------------------------------------------- XGBoost and LightGBM


def boosted(name, library, model, data, answers=True, **fitting) -> Entry:
    """As onnxmltools converts them."""
    x, y = shuffled(data)
    model.fit(x, y, **fitting)
    convert = convert_xgboost if library == "XGBoost" else convert_lightgbm
    arguments = {} if library == "XGBoost" else {"zipmap": False}
    graph = convert(model, initial_types=[("x", ToolsFloat([None, x.shape[1]]))], target_opset=15, **arguments)
    rows = x[:JUDGED]
    return Entry(name, library, graph, {"x": rows}, judged(model, graph, rows) if answers else None)


def counts() -> tuple[np.ndarray, np.ndarray]:
    x, y = numbers()
    return x, np.round(y / 25)


def shares() -> tuple[np.ndarray, np.ndarray]:
    x, y = numbers()
    return x, y / 400


def xgboost() -> Iterator[Entry]:
    small = {"n_estimators": TREES, "max_depth": DEPTH, "random_state": SEED, "n_jobs": 1}
    for name, data in (("binary", binary), ("multi", multi), ("missing", holes(binary))):
        yield boosted(f"xgb_{name}", "XGBoost", XGBClassifier(**small), data)
    yield boosted("xgb_multi_missing", "XGBoost", XGBClassifier(**small), holes(multi))
    yield boosted("xgb_forest", "XGBoost", XGBRFClassifier(**small), binary)
    yield boosted("xgb_numbers", "XGBoost", XGBRegressor(**small), numbers)
    yield boosted("xgb_numbers_missing", "XGBoost", XGBRegressor(**small), holes(numbers))
    for name, objective, data in (
        ("poisson", "count:poisson", counts),
        ("logistic", "reg:logistic", shares),
        ("gamma", "reg:gamma", numbers),
        ("absolute", "reg:absoluteerror", numbers),
    ):
        # onnxmltools 1.16 puts the logistic function over scores that have been through it.
        answers = name != "logistic"
        yield boosted(f"xgb_{name}", "XGBoost", XGBRegressor(objective=objective, **small), data, answers)


def lightgbm() -> Iterator[Entry]:
    small = {"n_estimators": TREES, "num_leaves": 8, "random_state": SEED, "n_jobs": 1, "verbose": -1}
    small["deterministic"] = True
    for name, data in (("binary", binary), ("multi", multi), ("missing", holes(binary))):
        yield boosted(f"lgb_{name}", "LightGBM", LGBMClassifier(**small), data)
    choosy = LGBMClassifier(min_data_per_group=5, cat_smooth=1, **small)
    yield boosted("lgb_categories", "LightGBM", choosy, categories, categorical_feature=[0, 1])
    yield boosted("lgb_numbers", "LightGBM", LGBMRegressor(**small), numbers)
    yield boosted("lgb_numbers_missing", "LightGBM", LGBMRegressor(**small), holes(numbers))
    yield boosted("lgb_poisson", "LightGBM", LGBMRegressor(objective="poisson", **small), counts)
    forest = LGBMClassifier(boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, **small)
    # onnxmltools 1.16 adds the trees of a forest up, where LightGBM takes their mean.
    yield boosted("lgb_forest", "LightGBM", forest, binary, answers=False)


def entries() -> Iterator[Entry]:
    """Every model, in an order that does not change."""
    for group in (trees, histograms, meta, lines, machines, others, steps, columns, xgboost, lightgbm):
        yield from group()
