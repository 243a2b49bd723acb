//! `config.pbtxt`: what is read, what is passed over, and every complaint with its line.

use candor_domain::{Dim, Signature, TensorSpec};

use super::*;

fn parse(text: &str) -> Result<TritonConfig> {
    TritonConfig::parse(text, &ModelName::parse("m").unwrap())
}

fn batch() -> Dim {
    Dim::Any(Some("batch".into()))
}

fn spec(name: &str, datatype: Datatype, dims: &[i64]) -> TensorSpec {
    let rest = dims.iter().map(|dim| if *dim < 0 { Dim::Any(None) } else { Dim::Fixed(*dim) });
    TensorSpec { name: name.into(), datatype, dims: Some([batch()].into_iter().chain(rest).collect()) }
}

/// A classifier over four columns, with a free `time`.
fn graph() -> Signature {
    Signature {
        inputs: vec![spec("features", Datatype::Fp32, &[4]), spec("time", Datatype::Int64, &[-1, 2])],
        outputs: vec![spec("label", Datatype::Int64, &[]), spec("probabilities", Datatype::Fp32, &[3])],
    }
}

fn fit(text: &str) -> Result<(Signature, Manifest, Reshapes, Vec<String>)> {
    let (mut signature, mut manifest) = (graph(), Manifest::default());
    let config = parse(text)?;
    let (reshapes, notes) = config.fit(&mut signature, &mut manifest)?;
    Ok((signature, manifest, reshapes, notes))
}

const INPUTS: &str = r#"input [
  { name: "features" data_type: TYPE_FP32 dims: [ 4 ] },
  { name: "time" data_type: TYPE_INT64 dims: [ -1, 2 ] }
]
max_batch_size: 8
"#;

#[test]
fn a_whole_file_is_read_and_what_means_nothing_here_is_noted_with_its_line() {
    let config = parse(
        r#"
name: "m"
platform: "onnxruntime_onnx"
backend: "onnxruntime"
max_batch_size: 8
default_model_filename: "graph.onnx"
version_policy: { specific: { versions: [ 1, 3 ] } }
input { name: "features" data_type: TYPE_FP32 dims: 4 format: FORMAT_NONE optional: false }
output { name: "label" data_type: 9 dims: [ 1 ] reshape { shape: [ ] } label_filename: "labels.txt" }
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
instance_group [ { count: 2 kind: KIND_GPU gpus: [ 0 ] } ]
instance_group { count: 1 kind: KIND_CPU }
optimization { execution_accelerators { gpu_execution_accelerator : [ { name : "tensorrt" } ] } }
parameters { key: "intra_op_thread_count" value: { string_value: "0" } }
model_warmup [ { name: "w" batch_size: 1 inputs { key: "x" value: { data_type: TYPE_FP32 dims: 4 zero_data: true } } } ]
"#,
    )
    .unwrap();
    assert_eq!(config.default_model_filename.as_deref(), Some("graph.onnx"));
    assert_eq!(config.max_batch_size, Some((8, 5)));
    let versions = ["1", "3"].map(|raw| Version::parse(raw).unwrap());
    assert_eq!(config.version_policy, Some((VersionPolicy::Specific(versions.into()), 7)));
    let [output] = config.outputs.as_slice() else { panic!("{:?}", config.outputs) };
    assert_eq!((output.line, output.name.as_str(), output.datatype), (9, "label", Some((Datatype::Int64, 9))));
    assert_eq!((&output.dims, &output.reshape), (&Some((vec![1], 9)), &Some((vec![], 9))));
    assert_eq!(config.label_files().collect::<Vec<_>>(), [("label", "labels.txt")]);
    assert_eq!(
        config.notes,
        [
            "config.pbtxt:11: instance_group is passed over: one session on the CPU serves all threads",
            "config.pbtxt:13: optimization is passed over: the engine's own defaults count",
            "config.pbtxt:14: parameters is passed over: engines are set up by the server's configuration",
            "config.pbtxt:15: model_warmup is passed over: every version is warmed up on its golden pairs, or on zeros",
        ]
    );
}

#[test]
fn a_file_may_say_nothing_and_then_the_highest_version_is_served() {
    let mut manifest = Manifest::default();
    parse("").unwrap().merge_into(&mut manifest).unwrap();
    assert_eq!((manifest.versions, manifest.batch_rows_max), (Some(VersionPolicy::Latest(1)), None));
    let (signature, ..) = fit("").unwrap();
    assert_eq!(signature, graph());
}

#[test]
fn what_it_says_of_batching_fills_what_model_toml_leaves_open() {
    let filled = |file: &str, toml: &str| {
        let mut manifest = Manifest::parse(toml).unwrap();
        let config = parse(file).unwrap();
        config.merge_into(&mut manifest).unwrap();
        (manifest.batching, config.notes)
    };
    let file = "max_batch_size: 16\ndynamic_batching {\n preferred_batch_size: [ 8, 4 ]\n max_queue_delay_microseconds: 100\n \
        preserve_ordering: true\n priority_levels: 3 default_priority_level: 2\n \
        default_queue_policy { timeout_action: DELAY max_queue_size: 9 }\n}";
    let (batching, notes) = filled(file, "[batching]\nmax_queue_delay_us = 0\n");
    assert_eq!(
        (batching.full_batch_rows, batching.max_queue_delay_us, batching.queue_max),
        (Some(8), Some(0), Some(9))
    );
    assert_eq!((batching.priority_levels, batching.default_priority_level), (Some(3), Some(2)));
    assert_eq!(batching.source_of("max_queue_delay_us"), "model.toml");
    assert_eq!(batching.source_of("queue_max"), "config.pbtxt");
    assert_eq!(batching.source_of("batch_rows_max"), "config.pbtxt");
    assert_eq!(
        notes,
        [
            "config.pbtxt:5: preserve_ordering is passed over: answers go out as they are ready",
            "config.pbtxt:7: timeout_action is passed over: a request is given up when its own timeout, or \
             limits.inference_ms_max, is over",
        ]
    );
    let levels = "dynamic_batching { priority_levels: 10 default_priority_level: 20 }";
    let fault = "config.pbtxt batching.default_priority_level: there is no such level of priority; expected 1 to 10 \
                 (priority_levels), got 20";
    assert_eq!(filled(levels, "").0.faults().iter().map(ToString::to_string).collect::<Vec<_>>(), [fault]);
    assert_eq!(filled("max_batch_size: 0", "").0.enabled, Some(false), "Triton would put nothing together");
    assert_eq!(filled("max_batch_size: 0", "[batching]\nenabled = true\n").0.enabled, Some(true));
    assert_eq!(filled("dynamic_batching { }", "").0, crate::repository::BatchingNotes::default());
}

#[test]
fn response_cache_is_read_where_the_manifest_says_nothing() {
    let filled = |file: &str, toml: &str| {
        let mut manifest = Manifest::parse(toml).unwrap();
        let config = parse(file).unwrap();
        config.merge_into(&mut manifest).unwrap();
        assert!(config.notes.is_empty(), "{:?}", config.notes);
        (manifest.result_cache.enabled, manifest.result_cache.from_triton)
    };
    assert_eq!(filled("response_cache { enable: true }", ""), (Some(true), true));
    assert_eq!(filled("response_cache { enable: false }", ""), (Some(false), true));
    assert_eq!(filled("response_cache { }", ""), (Some(false), true));
    assert_eq!(filled("response_cache { enable: true }", "[result_cache]\nenabled = false\n"), (Some(false), false));
    assert_eq!(filled("", ""), (None, false));
}

fn refused(wrong: &[(&str, &str)]) {
    for (text, want) in wrong {
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), format!("config.pbtxt:{want}"), "{text}");
    }
}

#[test]
fn what_is_wrong_with_the_model_is_refused_with_its_line() {
    refused(&[
        ("name: \"m\"\nplatfrom: \"x\"", "2: model configuration has no field \"platfrom\"; did you mean platform?"),
        ("zzz: 1", "1: model configuration has no field \"zzz\""),
        ("\nname: \"other\"", "2: the name is not that of the folder; expected \"m\", got \"other\""),
        ("name: m", "1: name has a wrong value; expected a text in quotes, got m"),
        ("name: \"m\"\nname: \"m\"", "2: name stands there twice; first on line 1"),
        (
            "platform: \"tensorrt_plan\"",
            "1: platform \"tensorrt_plan\" is not served here; expected \"onnxruntime_onnx\" or \"onnxruntime\"; only ONNX files are served",
        ),
        (
            "backend: \"python\"",
            "1: backend \"python\" is not served here; expected \"onnxruntime\"; only ONNX files are served",
        ),
        (
            "platform: \"ensemble\"",
            "1: platform \"ensemble\" is not served here; expected \"onnxruntime_onnx\" or \"onnxruntime\"; only ONNX files are served",
        ),
        (
            "ensemble_scheduling { step [] }",
            "1: ensemble_scheduling: ensembles of Triton are not read; write [[stage]] or [ensemble] into model.toml instead; docs/REPOSITORIES.md says how",
        ),
        (
            "sequence_batching {}",
            "1: sequence_batching: sequences are not kept here; let the caller carry the state, as inputs and outputs",
        ),
        (
            "max_batch_size: -1",
            "1: max_batch_size has a wrong value; expected a whole number from 0 to 2147483647, got -1",
        ),
        (
            "max_batch_size: 1.5",
            "1: max_batch_size has a wrong value; expected a whole number from 0 to 2147483647, got 1.5",
        ),
        (
            "default_model_filename: \"../x.onnx\"",
            "1: default_model_filename is not the name of a file; expected a name without a path, such as \"model.onnx\", got \"../x.onnx\"",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_a_tensor_or_the_versions_is_refused_with_its_line() {
    refused(&[
        ("input { name: \"x\" dim: 1 }", "1: input has no field \"dim\"; did you mean dims?"),
        ("input {\n label_filename: \"x\" }", "2: input has no field \"label_filename\""),
        ("input { dims: 1 }", "1: this input has no name"),
        ("input: 1", "1: input has a wrong value; expected { … }, got 1"),
        ("input { name: \"x\" dims: [ 1, 0 ] }", "1: a dimension is 0; expected 1 or more, or -1 for any size"),
        (
            "input { name: \"x\" dims: -2 }",
            "1: dims has a wrong value; expected a whole number from -1 to 9223372036854775807, got -2",
        ),
        (
            "input { name: \"x\"\n data_type: TYPE_FLOAT32 }",
            "2: there is no data_type \"TYPE_FLOAT32\"; expected TYPE_BOOL, TYPE_UINT8, TYPE_UINT16, TYPE_UINT32, TYPE_UINT64, TYPE_INT8, TYPE_INT16, TYPE_INT32, TYPE_INT64, TYPE_FP16, TYPE_FP32, TYPE_FP64, TYPE_STRING, TYPE_BF16; did you mean TYPE_FP32?",
        ),
        (
            "input { name: \"x\" data_type: \"TYPE_FP32\" }",
            "1: data_type has a wrong value; expected TYPE_FP32 without quotes, got \"TYPE_FP32\"",
        ),
        ("output { name: \"x\" reshape { dims: 1 } }", "1: reshape has no field \"dims\""),
        (
            "output { name: \"x\" label_filename: \"/etc/passwd\" }",
            "1: label_filename is not the name of a file; expected a name without a path, such as \"model.onnx\", got \"/etc/passwd\"",
        ),
        (
            "output { name: \"x\" is_shape_tensor: 2 }",
            "1: is_shape_tensor has a wrong value; expected true or false, got 2",
        ),
        ("version_policy { newest {} }", "1: version_policy has no field \"newest\""),
        (
            "version_policy { latest {} }",
            "1: this version_policy names no version to serve; expected num_versions: 1 or more",
        ),
        ("version_policy {}", "1: this version_policy names no version to serve; expected all, latest or specific"),
        (
            "version_policy { specific { versions: [] } }",
            "1: this version_policy names no version to serve; expected at least one of versions",
        ),
        ("version_policy { all {}\n latest { num_versions: 1 } }", "2: latest stands there twice; first on line 1"),
        (
            "version_policy { latest { versions: 1 } }",
            "1: latest has no field \"versions\"; did you mean num_versions?",
        ),
        ("input [\n{", "2:2: unexpected end of the file; expected the name of a field or '}'"),
    ]);
}

#[test]
fn what_contradicts_the_graph_names_its_line_and_what_the_graph_says() {
    let output = |output: &str| format!("{INPUTS}output {{\n{output}\n}}");
    for (text, want) in [
        (output("name: \"probs\""), "7: output 'probs' is not in the graph; expected label, probabilities"),
        (
            output("name: \"label\"\ndata_type: TYPE_FP32"),
            "8: data_type of output 'label' is not the graph's; expected TYPE_INT64, got TYPE_FP32",
        ),
        (
            output("name: \"probabilities\" dims: 4"),
            "7: dims of output 'probabilities' do not fit the graph; expected [3] (the graph has [batch, 3]), got [4]",
        ),
        (
            output("name: \"probabilities\" dims: -1"),
            "7: dims of output 'probabilities' do not fit the graph; expected [3] (the graph has [batch, 3]), got [-1]",
        ),
        (
            output("name: \"probabilities\" dims: [ -1, 3 ]"),
            "7: dims of output 'probabilities' do not fit the graph; expected [3] (the graph has [batch, 3]), got [-1, 3]; with max_batch_size, dims leave the first dimension out",
        ),
        (
            "output { name: \"probabilities\" dims: 3 }".into(),
            "1: dims of output 'probabilities' do not fit the graph; expected [-1, 3] (the graph has [batch, 3]), got [3]; without max_batch_size, dims are whole: the first one counts rows",
        ),
        (
            output("name: \"probabilities\"\ndims: [ 2, 2 ]\nreshape { shape: 3 }"),
            "9: reshape of output 'probabilities' has another number of elements than its dims; expected the same product, and as many dimensions of -1",
        ),
        (
            output("name: \"probabilities\"\ndims: 3\nreshape { shape: [ 1, 3 ] }"),
            "9: reshape of output 'probabilities' do not fit the graph; expected [3] (the graph has [batch, 3]), got [1, 3]; with max_batch_size, dims leave the first dimension out",
        ),
        (output("name: \"label\" } output { name: \"label\""), "7: output 'label' stands there twice"),
        (
            "input { name: \"features\" dims: [ -1, 4 ] }".into(),
            "1: input 'time' of the graph is missing; list all inputs, or none",
        ),
    ] {
        let error = fit(&text).unwrap_err();
        assert_eq!(error.to_string(), format!("config.pbtxt:{want}"), "{text}");
    }
    let mut fixed = graph();
    fixed.inputs[0].dims = Some(vec![Dim::Fixed(1), Dim::Fixed(4)]);
    let error = parse("max_batch_size: 4").unwrap().fit(&mut fixed, &mut Manifest::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "config.pbtxt:1: max_batch_size is 4, but 'features' has no free first dimension in the graph; expected max_batch_size: 0, and dims that are whole, got [1, 4] in the graph"
    );
}

#[test]
fn sizes_that_the_graph_leaves_free_are_fixed_by_the_file() {
    let text = INPUTS.replace("-1, 2", "7, 2") + "output { name: \"label\" }";
    let (signature, manifest, _, notes) = fit(&text).unwrap();
    assert_eq!(signature.inputs[1].dims, Some(vec![batch(), Dim::Fixed(7), Dim::Fixed(2)]));
    assert_eq!(signature.inputs[0], graph().inputs[0]);
    assert!(manifest.outputs.is_empty());
    assert_eq!(
        notes,
        ["config.pbtxt does not list the output 'probabilities' of the graph; it is served all the same"]
    );
    let mut any_rank = graph();
    any_rank.outputs[1].dims = None;
    let config = parse("output { name: \"probabilities\" dims: [ -1, 3 ] }").unwrap();
    config.fit(&mut any_rank, &mut Manifest::default()).unwrap();
    assert_eq!(any_rank.outputs[1].wire_shape(), [-1, 3]);
}

#[test]
fn callers_see_the_dims_and_the_graph_gets_the_reshape() {
    use candor_domain::{Cancel, Session, Shape, Tensor, TensorData};
    /// Gives back what it got, as it is.
    struct Echo;
    impl Session for Echo {
        fn run(&self, inputs: &[Tensor], wanted: &[usize], _: Option<&Cancel>) -> Result<Vec<Tensor>> {
            assert_eq!(inputs[0].shape().dims(), [5, 4], "the graph's own shape");
            Ok(wanted.iter().map(|index| inputs[*index].clone()).collect())
        }
    }
    let text = r#"max_batch_size: 8
input { name: "features" dims: [ 2, 1, 2 ] reshape { shape: 4 } }
input { name: "time" dims: [ -1, 2 ] }
output { name: "label" dims: 1 reshape { shape: [] } }"#;
    let (signature, _, reshapes, _) = fit(text).unwrap();
    assert_eq!(signature.inputs[0].wire_shape(), [-1, 2, 1, 2]);
    assert_eq!(signature.inputs[0].dims.as_ref().unwrap()[0], batch(), "the batch keeps its symbol");
    assert_eq!(signature.outputs[0].wire_shape(), [-1, 1]);
    let tensor = |dims: &[i64]| {
        let shape = Shape::new(dims).unwrap();
        Tensor::new(shape, TensorData::zeros(Datatype::Fp32, shape.elements())).unwrap()
    };
    let mut session = Reshaped::new(Box::new(Echo));
    session.reshape(reshapes);
    let session = session.into_session();
    let inputs = [tensor(&[5, 2, 1, 2]), tensor(&[5])];
    let outputs = session.run(&inputs, &[1], None).unwrap();
    assert_eq!(outputs[0].shape().dims(), [5], "output 1 has no reshape");
    let error = session.run(&inputs, &[0], None).unwrap_err();
    assert_eq!(error.to_string(), "a tensor has another shape than the graph declares; got [5, 4]");
}

#[test]
fn labels_come_from_a_file_in_the_folder_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{INPUTS}output {{ name: \"probabilities\"\nlabel_filename: \"labels.txt\" }}");
    let labelled = |manifest: &mut Manifest| {
        let mut config = parse(&text)?;
        config.read_labels(folder.path())?;
        config.fit(&mut graph(), manifest).map(|_| manifest.labels("probabilities").to_vec())
    };
    let error = labelled(&mut Manifest::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "config.pbtxt:7: there is no file \"labels.txt\"; expected a file in the model's folder, beside the versions"
    );
    std::fs::write(folder.path().join("labels.txt"), "a\r\nb b\nc\n\n").unwrap();
    assert_eq!(labelled(&mut Manifest::default()).unwrap(), ["a", "b b", "c"]);
    let toml = |labels: &str| Manifest::parse(&format!("[[outputs]]\nname = \"probabilities\"\n{labels}")).unwrap();
    assert_eq!(labelled(&mut toml("description = \"x\"")).unwrap(), ["a", "b b", "c"]);
    assert!(labelled(&mut toml("labels = [\"a\", \"b b\", \"c\"]")).is_ok());
    let error = labelled(&mut toml("labels = [\"a\", \"b\", \"c\"]")).unwrap_err().to_string();
    assert_eq!(
        error,
        "config.pbtxt:7: labels of output 'probabilities' contradict model.toml; expected a, b, c, got a, b b, c"
    );
    std::fs::write(folder.path().join("labels.txt"), "a\nb").unwrap();
    let error = labelled(&mut Manifest::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "config.pbtxt:7: labels of output 'probabilities' do not fit the graph; expected 3 lines in labels.txt (the last dimension), got 2"
    );
    #[cfg(unix)]
    {
        std::fs::remove_file(folder.path().join("labels.txt")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("labels.txt")).unwrap();
        let error = labelled(&mut Manifest::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "config.pbtxt:7: labels.txt is a link; links are not followed; put what it leads to in its place"
        );
    }
}

#[test]
fn where_model_toml_speaks_too_it_wins_and_a_contradiction_is_an_error() {
    let merged = |config: &str, toml: &str| {
        let mut manifest = Manifest::parse(toml).unwrap();
        parse(config)?.merge_into(&mut manifest).map(|()| manifest)
    };
    let manifest = merged("max_batch_size: 0", "versions = \"all\"\nbatch_rows_max = 5").unwrap();
    assert_eq!((manifest.versions, manifest.batch_rows_max), (Some(VersionPolicy::All), Some(5)));
    let manifest = merged("max_batch_size: 5 version_policy { all {} }", "batch_rows_max = 5").unwrap();
    assert_eq!((manifest.versions, manifest.batch_rows_max), (Some(VersionPolicy::All), Some(5)));
    for (config, toml, want) in [
        (
            "max_batch_size: 8",
            "batch_rows_max = 5",
            "config.pbtxt:1: max_batch_size contradicts model.toml; expected batch_rows_max = 5, got 8",
        ),
        (
            "\nversion_policy { latest { num_versions: 2 } }",
            "versions = \"all\"",
            "config.pbtxt:2: version_policy contradicts model.toml; expected all, got latest:2",
        ),
    ] {
        assert_eq!(merged(config, toml).unwrap_err().to_string(), want);
    }
}

proptest::proptest! {
    #[test]
    fn no_configuration_makes_it_panic(words in proptest::collection::vec(proptest::sample::select(vec![
        "name", "\"x\"", ":", "{", "}", "[", "]", ",", "input", "output", "dims", "-1", "0", "3", "reshape", "shape",
        "data_type", "TYPE_FP32", "99", "version_policy", "latest", "specific", "versions", "num_versions", "optional",
        "max_batch_size", "label_filename", "format", "platform", "1e99", "9223372036854775808", "#\n", "<", ">",
    ]), 0..40)) {
        if let Ok(config) = parse(&words.join(" ")) {
            let _ = config.fit(&mut graph(), &mut Manifest::default());
        }
    }
}
