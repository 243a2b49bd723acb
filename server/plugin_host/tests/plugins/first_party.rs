//! The plugins of this repository, three ways: compiled in, from a library in this process, and in one of their own.
//! They are the same components and answer alike.
//!
//! What the answers should be is told by the plugins' own tests.

use std::{fs, path::Path, sync::Arc, time::Duration};

use candor_domain::{
    ErrorCode, ManualClock, Result,
    tensor::{Shape, Tensor, TensorData},
};
use candor_plugin_abi as abi;
use candor_plugin_host::{
    AllowList, CallContext, CallLimits, Isolation, LentModel, Pin, Plugin, WorkerProgram, WorkerSettings, model_files,
};

use super::support::{Bench, Ears, ROOT, cargo_built_all, floats, library, made, pin, ship};

struct Case {
    component: &'static str,
    config: String,
    inputs: Vec<(&'static str, Tensor)>,
    /// Whether it asks a model, which no process of its own is lent.
    asks: bool,
}

struct FirstParty {
    name: &'static str,
    module: &'static abi::Module,
    cases: Vec<Case>,
}

fn case(component: &'static str, config: &str, inputs: Vec<(&'static str, Tensor)>) -> Case {
    Case { component, config: config.to_owned(), inputs, asks: false }
}

fn asking(component: &'static str, config: &str, inputs: Vec<(&'static str, Tensor)>) -> Case {
    Case { asks: true, ..case(component, config, inputs) }
}

/// The model that explainers ask: a row's first number less half of the second.
struct Difference;

impl LentModel for Difference {
    fn predict(&self, _model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let [(_, x)] = inputs else { panic!("one input is asked") };
        let (TensorData::Fp64(numbers), &[_, width]) = (x.data(), x.shape().dims()) else { panic!("{x:?}") };
        let rows = numbers.chunks_exact(usize::try_from(width).unwrap());
        let y: Vec<f64> = rows.map(|row| row[0] - row[1] / 2.0).collect();
        let shape = Shape::new(&[i64::try_from(y.len()).unwrap(), 1]).unwrap();
        Ok(vec![("y".to_owned(), Tensor::new(shape, TensorData::Fp64(y)).unwrap())])
    }
}

fn bytes(values: &[&[u8]]) -> Tensor {
    let shape = Shape::new(&[i64::try_from(values.len()).unwrap()]).unwrap();
    Tensor::new(shape, TensorData::Bytes(values.iter().copied().collect())).unwrap()
}

fn integers(shape: &[i64], data: &[i64]) -> Tensor {
    Tensor::new(Shape::new(shape).unwrap(), TensorData::Int64(data.to_vec())).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(ROOT).join("plugins").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn tokenizer() -> FirstParty {
    // As the server makes a configuration that names a file of the model's folder.
    let named = r#"{"tokenizer": {"file": "tokenizer.json"}, "max_length": 16}"#;
    let schema = String::from_utf8(file("tokenizer/schema.json")).unwrap();
    let config = model_files::filled(&schema, named, &|name| {
        assert_eq!(name, "tokenizer.json");
        Ok(file("tokenizer/tests/fixtures/wordpiece.json"))
    });
    let texts = bytes(&[b"The cat sleeps.", "é 你好".as_bytes(), b""]);
    let cases = vec![case("candor.tokenizer", &config.unwrap(), vec![("text", texts)])];
    FirstParty { name: "tokenizer", module: &candor_plugin_tokenizer::MODULE, cases }
}

fn pooling() -> FirstParty {
    let tokens: Vec<f32> = (0..24_u8).map(|at| f32::from(at * 7 % 11) - 4.5).collect();
    let inputs = || {
        vec![
            ("last_hidden_state", floats(&[2, 3, 4], &tokens)),
            ("attention_mask", integers(&[2, 3], &[1, 1, 0, 1, 0, 0])),
        ]
    };
    let configs = [r#"{"normalize": true}"#, r#"{"mode": "max"}"#, r#"{"mode": "cls"}"#];
    let cases = configs.map(|config| case("candor.pooling", config, inputs())).into();
    FirstParty { name: "pooling", module: &candor_plugin_pooling::MODULE, cases }
}

fn ensemble() -> FirstParty {
    let labels = vec![("y_0", bytes(&[b"a", b"b"])), ("y_1", bytes(&[b"b", b"b"]))];
    let chances = || vec![("y_0", floats(&[1, 2], &[0.9, 0.1])), ("y_1", floats(&[1, 2], &[0.2, 0.8]))];
    let stack = r#"{"meta": "logistic", "coefficients": [1.5, -0.25], "intercept": [0.125]}"#;
    let cases = vec![
        case("candor.vote", r#"{"voting": "hard", "classes": ["b", "a"]}"#, labels),
        case("candor.vote", r#"{"voting": "soft", "weights": [1, 3]}"#, chances()),
        case("candor.average", "{}", chances()),
        case("candor.stack", stack, chances()),
    ];
    FirstParty { name: "ensemble", module: &candor_plugin_ensemble::MODULE, cases }
}

fn image() -> FirstParty {
    let config = r#"{"resize": {"shortest": 20}, "crop": {"width": 16, "height": 16}}"#;
    let fixture = |name: &str| file(&format!("image/tests/fixtures/{name}"));
    let files = bytes(&[&fixture("photo.jpg"), &fixture("turned_6.png")]);
    let cases = vec![case("candor.image", config, vec![("image", files)])];
    FirstParty { name: "image", module: &candor_plugin_image::MODULE, cases }
}

fn effects() -> FirstParty {
    let rows = || doubles(&[4, 2], &[0.0, 1.0, 1.0, 3.0, 2.0, 2.0, 3.0, 0.5]);
    let (x, first) = (|| ("x", rows()), || ("features", integers(&[1], &[0])));
    let cases = vec![
        asking("candor.permutation_importance", "{}", vec![x(), ("y", doubles(&[4], &[0.0, 0.5, 1.0, 1.5]))]),
        asking("candor.pdp", r#"{"grid_resolution": 3}"#, vec![x(), first()]),
        asking("candor.ale", r#"{"bins": 2}"#, vec![x(), first()]),
        asking("candor.occlusion", r#"{"of": "tokens"}"#, vec![x()]),
        asking("candor.integrated_gradients", "{}", vec![x(), ("background", rows())]),
    ];
    FirstParty { name: "effects", module: &candor_plugin_effects::MODULE, cases }
}

fn sampled() -> FirstParty {
    let background = || ("background", doubles(&[4, 2], &[0.0, 1.0, 1.0, 3.0, 2.0, 2.0, 3.0, 0.5]));
    let (x, seed) = (|| ("x", doubles(&[2, 2], &[4.0, -1.0, 2.5, 7.0])), || ("seed", integers(&[1], &[7])));
    let budget = |rows: i64| ("budget", integers(&[1], &[rows]));
    let cases = vec![
        asking("candor.exact_shap", "{}", vec![x(), background(), ("interactions", integers(&[1], &[1]))]),
        asking("candor.kernel_shap", "{}", vec![x(), background(), seed(), budget(2)]),
        asking("candor.permutation_shap", "{}", vec![x(), background(), seed(), budget(25)]),
        asking("candor.lime", "{}", vec![x(), background(), seed(), budget(200)]),
    ];
    FirstParty { name: "sampled", module: &candor_plugin_sampled::MODULE, cases }
}

fn what_if() -> FirstParty {
    let background = || ("background", doubles(&[4, 2], &[0.0, 1.0, 1.0, 3.0, 2.0, 2.0, 3.0, 0.5]));
    let x = || ("x", doubles(&[1, 2], &[0.0, 1.0]));
    let cases = vec![
        asking("candor.counterfactuals", "{}", vec![x(), background()]),
        asking("candor.anchors", "{}", vec![x(), background()]),
    ];
    FirstParty { name: "what_if", module: &candor_plugin_what_if::MODULE, cases }
}

fn shap() -> FirstParty {
    let doubles =
        |shape: &[i64], data: Vec<f64>| Tensor::new(Shape::new(shape).unwrap(), TensorData::Fp64(data)).unwrap();
    let rows = |rows: u8| doubles(&[i64::from(rows), 4], (0..rows * 4).map(|at| f64::from(at * 7 % 5) / 4.0).collect());
    let case = |component: &'static str, graph: &str, config: &str| {
        let schema = if component == "candor.tree_shap" { "shap/tree.json" } else { "shap/linear.json" };
        let schema = String::from_utf8(file(schema)).unwrap();
        let config = model_files::filled(&schema, config, &|name| {
            assert_eq!(name, "model.onnx");
            Ok(file(graph))
        });
        case(component, &config.unwrap(), vec![("x", rows(2)), ("background", rows(7))])
    };
    let (tree, line) = ("fixtures/served/tree/1/model.onnx", "fixtures/served/line/1/model.onnx");
    let cases = vec![
        case("candor.tree_shap", tree, "{}"),
        case("candor.tree_shap", tree, r#"{"perturbation": "path_dependent"}"#),
        case("candor.linear_shap", line, r#"{"file": "model.onnx"}"#),
    ];
    FirstParty { name: "shap", module: &candor_plugin_shap::MODULE, cases }
}

/// Builds the shims into folders as they would be shipped.
fn build(bench: &Bench, plugins: &[FirstParty]) {
    let packages: Vec<String> =
        plugins.iter().map(|plugin| format!("candor-plugin-{}-library", plugin.name.replace('_', "-"))).collect();
    let libraries = cargo_built_all(&packages.iter().map(String::as_str).collect::<Vec<_>>());
    for FirstParty { name, .. } in plugins {
        let (folder, built) = (bench.temp.path().join(name), format!("candor_plugin_{name}_library"));
        ship(&libraries.join(format!("lib{built}.so")), &folder, &built);
        fs::copy(Path::new(ROOT).join(format!("plugins/{name}/plugin.toml")), folder.join("plugin.toml")).unwrap();
    }
}

fn answer(plugin: &Plugin, case: &Case) -> Vec<(String, Tensor)> {
    let live = plugin.open(case.component, &case.config).unwrap();
    let inputs: Vec<(&str, &Tensor)> = case.inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut call = CallContext::new(CallLimits::default());
    call.with_model(&Difference, |call| live.instance().infer(call, &inputs)).unwrap()
}

#[test]
fn they_answer_from_libraries_and_in_processes_of_their_own_as_when_compiled_in() {
    let bench = Bench::new();
    let plugins = [tokenizer(), pooling(), ensemble(), image(), effects(), sampled(), shap(), what_if()];
    build(&bench, &plugins);
    for plugin in &plugins {
        let (name, built) = (plugin.name, format!("candor_plugin_{}_library", plugin.name));
        let folder = bench.temp.path().join(name);
        let inproc = pin(&library(&folder, &built), name);
        let apart = Pin { isolation: Isolation::Process, ..inproc.clone() };
        let host = bench.host(AllowList { dev: false, allow: vec![inproc] });
        let loaded = host.load(&folder).unwrap();
        let version = fs::read_to_string(folder.join("plugin.toml")).unwrap();
        assert!(version.contains(&format!("version = \"{}\"", env!("CARGO_PKG_VERSION"))), "{name}: {version}");
        let compiled = host.compiled_in(&format!("{name}-compiled"), env!("CARGO_PKG_VERSION"), plugin.module).unwrap();
        let infos =
            |plugin: &Plugin| plugin.current().module.components.iter().map(|one| one.info.clone()).collect::<Vec<_>>();
        assert_eq!(infos(&loaded), infos(&compiled), "{name}");

        let processes = bench.host(AllowList { dev: false, allow: vec![apart] });
        for case in &plugin.cases {
            let expected = answer(&compiled, case);
            assert!(!expected.is_empty(), "{}", case.component);
            // By what is shown: where there is nothing, numbers are NaN.
            assert_eq!(format!("{:?}", answer(&loaded, case)), format!("{expected:?}"), "{}", case.component);
            let program =
                WorkerProgram { program: env!("CARGO_BIN_EXE_plugin-worker-under-test").into(), arguments: vec![] };
            let settings = WorkerSettings {
                deadline: Duration::from_secs(60),
                start: Duration::from_secs(60),
                ..WorkerSettings::default()
            };
            let around = (Arc::new(Ears(Arc::clone(&bench.heard))) as _, Arc::new(ManualClock::default()) as _);
            let isolated =
                processes.isolate(&folder, (case.component, &case.config), program, settings, around).unwrap();
            let inputs: Vec<(&str, &Tensor)> = case.inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
            let apart = isolated.infer(&inputs, None);
            if case.asks {
                assert_eq!(apart.unwrap_err().code(), ErrorCode::Unsupported, "{}", case.component);
            } else {
                assert_eq!(apart.unwrap(), expected, "{}", case.component);
            }
        }
    }
}

fn doubles(shape: &[i64], data: &[f64]) -> Tensor {
    Tensor::new(Shape::new(shape).unwrap(), TensorData::Fp64(data.to_vec())).unwrap()
}

#[test]
fn the_one_in_c_makes_probabilities_of_scores() {
    let bench = Bench::new();
    let folder = made(&bench, "c_calibrate");
    let plugin = bench.trusting(&[(&folder, "c_calibrate")]).load(&folder).unwrap();
    let mut call = CallContext::new(CallLimits::default());
    let mut ask = |config: &str, x: &Tensor| {
        plugin.open("candor.softmax", config).unwrap().instance().infer(&mut call, &[("x", x)])
    };
    let scores = [1.0, 2.0, 4.0, -3000.0, 0.0, 3000.0];
    for (config, temperature) in [("{}", 1.0), (r#"{"temperature": 2.5}"#, 2.5), (r#"{ "temperature" : 5e-1 }"#, 0.5)] {
        let answer = ask(config, &doubles(&[2, 3], &scores)).unwrap();
        let TensorData::Fp64(got) = answer[0].1.data() else { panic!("{answer:?}") };
        for (row, got) in scores.chunks(3).zip(got.chunks(3)) {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|score| ((score - top) / temperature).exp()).sum();
            for (score, got) in row.iter().zip(got) {
                assert!((got - ((score - top) / temperature).exp() / sum).abs() < 1e-15, "{config}: {got}");
            }
        }
    }
    let answer = ask("{}", &floats(&[2, 2], &[0.0, 0.0, 1.0, 1.0])).unwrap();
    assert_eq!(answer, [("probabilities".to_owned(), floats(&[2, 2], &[0.5; 4]))]);
    assert_eq!(ask("{}", &floats(&[0, 3], &[])).unwrap()[0].1, floats(&[0, 3], &[]));
    assert_eq!(ask("{}", &floats(&[3, 0], &[])).unwrap()[0].1, floats(&[3, 0], &[]));
    let error = ask("{}", &floats(&[2, 1], &[0.0, f32::NAN])).unwrap_err();
    assert!(error.to_string().ends_with("row 1 has what is no finite number"), "{error}");
    let error = ask("{}", &integers(&[1], &[1])).unwrap_err();
    assert!(error.to_string().ends_with("expected elements of the type FP32 or FP64"), "{error}");
    for config in [r#"{"temperature": 0}"#, r#"{"temperature": "1"}"#, r#"{"heat": 1}"#] {
        assert!(plugin.open("candor.softmax", config).is_err(), "{config}");
    }
}

#[test]
fn the_one_in_c_finds_the_largest_in_their_order() {
    let bench = Bench::new();
    let folder = made(&bench, "c_calibrate");
    let plugin = bench.trusting(&[(&folder, "c_calibrate")]).load(&folder).unwrap();
    let mut call = CallContext::new(CallLimits::default());
    let mut ask = |k: usize, x: &Tensor| {
        let live = plugin.open("candor.top_k", &format!(r#"{{"k": {k}}}"#)).unwrap();
        live.instance().infer(&mut call, &[("x", x)])
    };
    // Many are equal: of those the first comes first.
    let numbers: Vec<f64> = (0..60_u32).map(|at| f64::from(at * at * 31 % 17)).collect();
    for k in 1..=20 {
        let answer = ask(k, &doubles(&[3, 20], &numbers)).unwrap();
        let (TensorData::Fp64(values), TensorData::Int64(indices)) = (answer[0].1.data(), answer[1].1.data()) else {
            panic!("{answer:?}")
        };
        for (row, (values, indices)) in numbers.chunks(20).zip(values.chunks(k).zip(indices.chunks(k))) {
            let mut order: Vec<usize> = (0..20).collect();
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            let expected: Vec<i64> = order[..k].iter().map(|&at| i64::try_from(at).unwrap()).collect();
            assert_eq!(indices, expected, "{k}");
            assert_eq!(values, order[..k].iter().map(|&at| row[at]).collect::<Vec<_>>(), "{k}");
        }
    }
    let error = ask(3, &floats(&[1, 2], &[1.0, 2.0])).unwrap_err();
    assert!(error.to_string().ends_with("the input has fewer columns than `k`"), "{error}");
    let error = ask(1, &floats(&[1, 2], &[1.0, f32::NAN])).unwrap_err();
    assert!(error.to_string().ends_with("row 0 has what is no finite number"), "{error}");
    for config in ["{}", r#"{"k": 0}"#, r#"{"k": 1.5}"#] {
        assert!(plugin.open("candor.top_k", config).is_err(), "{config}");
    }
}
