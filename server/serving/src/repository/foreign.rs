//! Model files of other kinds: what they are, and how their owner gets an ONNX file out of them.

use candor_domain::{Error, names::quoted};

use super::layout::Kind;

/// Names, or endings that begin with a dot; what such a file is; what to do about it.
type Reason = (&'static [&'static str], &'static str, &'static str);

const TF2ONNX: &str = "convert it: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx";
const TORCH: &str = "export it: torch.onnx.export(model, inputs, \"model.onnx\")";

const REASONS: [Reason; 13] = [
    (&["saved_model.pb", "saved_model.pbtxt", "model.savedmodel"], "a TensorFlow SavedModel", TF2ONNX),
    (
        &["model.graphdef"],
        "a TensorFlow graph",
        "convert it: python -m tf2onnx.convert --graphdef FILE --output model.onnx",
    ),
    (&[".h5", ".keras"], "a Keras model", "save it as a SavedModel and convert that with tf2onnx"),
    (
        &[".tflite"],
        "a TensorFlow Lite model",
        "convert it: python -m tf2onnx.convert --tflite FILE --output model.onnx",
    ),
    (
        &[".plan", ".engine", ".trt"],
        "a TensorRT engine, which runs on the kind of GPU that it was built for",
        "serve the ONNX file that it was built from",
    ),
    (&[".pt", ".pth", ".pt2", ".torchscript"], "a PyTorch model", TORCH),
    (&[".safetensors"], "weights without a graph", TORCH),
    (
        &[".pkl", ".pickle", ".joblib", ".cloudpickle"],
        "a pickled Python object; no pickle is read, because reading one runs whatever it says",
        "convert it where it was trained: skl2onnx.to_onnx(model, inputs)",
    ),
    (
        &[".xgb", ".ubj", ".bst", "model.json"],
        "an XGBoost model",
        "convert it: onnxmltools.convert_xgboost(model, initial_types=…)",
    ),
    (&[".lgb", "model.txt"], "a LightGBM model", "convert it: onnxmltools.convert_lightgbm(model, initial_types=…)"),
    (&[".cbm"], "a CatBoost model", "save it again: model.save_model(\"model.onnx\", format=\"onnx\")"),
    (&["model.xml"], "an OpenVINO model", "serve the ONNX file that it was converted from"),
    (&["model.py"], "a Python model", "no Python runs in this server: export the model to ONNX"),
];

/// Why `shown`, a folder with these entries, cannot be served, if one of them is a model of another kind.
pub(super) fn reason(entries: &[(String, Kind)], shown: &str) -> Option<Error> {
    let fits =
        |name: &str, pattern: &str| if pattern.starts_with('.') { name.ends_with(pattern) } else { name == pattern };
    entries.iter().filter(|(_, kind)| *kind != Kind::Link).find_map(|(name, _)| {
        let lower = name.to_ascii_lowercase();
        let (_, what, hint) = REASONS.iter().find(|(names, ..)| names.iter().any(|pattern| fits(&lower, pattern)))?;
        Some(Error::model(format!("{shown} holds no ONNX file but {}: {what}", quoted(name))).hint(*hint))
    })
}
