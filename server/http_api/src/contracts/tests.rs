//! Contract bodies against real versions over the null engine: rows and columns, named and unnamed, give the
//! same tensors; and whatever comes, in any dialect and form, nothing panics and what is wrong is the caller's.

use std::sync::{Arc, LazyLock};

use actix_web::web::Bytes;
use candor_domain::{Error, ManualClock, ModelName, Phase, Result, Tensor};
use candor_engine_conformance::NullEngine;
use candor_serving::{
    Codec as _, Engines, Lease, Ran, Registry, RegistrySettings, Repository, VersionPolicy, oip::TensorLimits,
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{ContractCodec, Dialect, Form};
use crate::{error::status, limits::HttpLimits, wire::ReplyEncoding};

const DIALECTS: [Dialect; 4] = [Dialect::TfServing, Dialect::Kserve, Dialect::Invocations, Dialect::Vertex];

/// Models that give back what they take: `several` inputs of four types, `one` of floats, `text`, and `fixed`,
/// whose two inputs have no rows in common.
struct World {
    registry: Registry,
    _folder: tempfile::TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let folder = tempfile::TempDir::new().unwrap();
    let tensor = |kind: &str, name: &str, datatype: &str, dims: &str, more: &str| {
        format!("[[{kind}]]\nname = \"{name}\"\ndatatype = \"{datatype}\"\ndims = [{dims}]\n{more}")
    };
    let echo = |inputs: &[(&str, &str, &str)]| -> String {
        let input = |&(name, datatype, dims): &(&str, &str, &str)| tensor("inputs", name, datatype, dims, "");
        let output = |&(name, datatype, dims): &(&str, &str, &str)| {
            tensor("outputs", &format!("{name}_out"), datatype, dims, &format!("echo = \"{name}\"\n"))
        };
        inputs.iter().map(input).chain(inputs.iter().map(output)).collect()
    };
    let declared =
        "[[inputs]]\nname = \"number\"\nfeatures = [{ name = \"a\", max = 10.0 }, { name = \"b\", impute = 0.5 }]\n";
    let rows = "\"rows\"";
    for (model, graph, manifest) in [
        (
            "several",
            echo(&[
                ("number", "FP64", "\"rows\", 2"),
                ("whole", "INT64", rows),
                ("text", "BYTES", "\"rows\", 1"),
                ("grid", "FP32", "\"rows\", 2, -1"),
            ]),
            declared,
        ),
        ("one", echo(&[("number", "FP64", "\"rows\", 2")]), declared),
        ("text", echo(&[("text", "BYTES", rows)]), ""),
        ("half", echo(&[("half", "FP16", "\"rows\", -1")]), ""),
        ("single", echo(&[("x", "FP32", "-1, 3"), ("t", "FP32", "")]), ""),
        (
            "numbered",
            echo(&[("number", "FP64", "\"rows\", 4")]),
            "[[inputs]]\nname = \"number\"\nfeatures = [{ name = \"0\" }, { name = \"1\" }, { name = \"2\" }, { name = \"3\" }]\n",
        ),
        (
            "cities",
            echo(&[("city", "BYTES", "\"rows\", 1")]),
            "[[inputs]]\nname = \"city\"\nfeatures = [{ name = \"city\" }]\n",
        ),
        (
            "mixed",
            echo(&[("city", "BYTES", "\"rows\", 1"), ("size", "FP64", "\"rows\", 1")]),
            "[[inputs]]\nname = \"city\"\nfeatures = [{ name = \"city\" }]\n[[inputs]]\nname = \"size\"\nfeatures = [{ name = \"size\", impute = 0.5 }]\n",
        ),
        ("oddly", echo(&[("a/b~c \\\"ü\\\"", "FP64", rows)]), ""),
        ("fixed", echo(&[("x", "FP32", "2"), ("y", "BOOL", "\"rows\", 2")]), ""),
    ] {
        let version = folder.path().join(model).join("1");
        std::fs::create_dir_all(&version).unwrap();
        std::fs::write(version.join("model.onnx"), graph).unwrap();
        std::fs::write(folder.path().join(model).join("model.toml"), manifest).unwrap();
    }
    let settings = RegistrySettings { version_policy: VersionPolicy::All, ..RegistrySettings::default() };
    let engines = Engines::one(Arc::new(NullEngine::new()));
    let repository = Repository::open(folder.path(), 1_u64 << 20).unwrap();
    let registry = Registry::start(engines, repository, Arc::new(ManualClock::default()), settings).unwrap();
    for model in MODELS {
        registry.load(ModelName::parse(model).unwrap(), None).unwrap().wait_blocking().unwrap().unwrap();
    }
    World { registry, _folder: folder }
});

const MODELS: [&str; 10] =
    ["several", "one", "text", "half", "fixed", "single", "numbered", "cities", "mixed", "oddly"];

fn version(model: &str) -> Lease {
    WORLD.registry.lease(model, None).unwrap()
}

fn limits() -> Arc<HttpLimits> {
    Arc::new(HttpLimits {
        body_bytes_max: 1 << 20,
        decompressed_bytes_max: 1 << 20,
        body_read_max: std::time::Duration::from_secs(1),
        json_depth_max: 32,
        tensors: TensorLimits { elements_max: 256, rank_max: 8, tensors_max: 64, name_bytes_max: 64 },
        compress_bytes_min: usize::MAX,
    })
}

/// The whole way of a request, but for the pipeline: the reply's body, and how many gaps were filled.
fn ask(model: &str, dialect: Dialect, form: Form, body: impl Into<Bytes>) -> Result<(String, usize)> {
    let version = version(model);
    let mut codec = ContractCodec::new(body.into(), dialect, form, ReplyEncoding::Identity, limits());
    let request = codec.decode(&version)?;
    version.signature.check(&request.inputs, version.manifest.rules())?;
    let outputs: Vec<Tensor> = version.session().run(&request.inputs, &request.outputs, None)?;
    let clock = ManualClock::default();
    let ran = Ran {
        version: &version,
        fallback_from: None,
        outputs,
        nanos: [None; Phase::ALL.len()],
        laps: &[],
        batch: None,
        cache: None,
        clock: &clock,
    };
    let reply = codec.encode(ran)?;
    Ok((String::from_utf8(reply.bytes).unwrap(), reply.filled))
}

fn tf(model: &str, body: &str) -> String {
    ask(model, Dialect::TfServing, Form::Json, body.to_owned()).unwrap().0
}

fn refused(model: &str, dialect: Dialect, body: &str) -> Error {
    match ask(model, dialect, Form::Json, body.to_owned()) {
        Ok((reply, _)) => panic!("{body} gives {reply}"),
        Err(error) => error,
    }
}

#[test]
fn rows_and_columns_named_and_not_give_the_same() {
    for body in [
        r#"{"instances":[[1,2],[3,4.5]]}"#,
        r#"{"instances":[{"number":[1,2]},{"number":[3,4.5]}]}"#,
        r#"{"instances":[{"b":2,"a":1},{"a":3,"b":4.5}],"signature_name":"serving_default"}"#,
    ] {
        assert_eq!(tf("one", body), r#"{"predictions":[[1.0,2.0],[3.0,4.5]]}"#, "{body}");
    }
    for body in [
        r#"{"inputs":[[1,2],[3,4.5]]}"#,
        r#"{"inputs":{"number":[[1,2],[3,4.5]]},"signature_name":null}"#,
        r#"{"inputs":{"a":[1,3],"b":[2,4.5]}}"#,
    ] {
        assert_eq!(tf("one", body), r#"{"outputs":[[1.0,2.0],[3.0,4.5]]}"#, "{body}");
    }
    let row = r#"{"number":[1,2],"whole":-7,"text":[{"b64":"aMOk"}],"grid":[[1],[2]]}"#;
    assert_eq!(
        tf("several", &format!(r#"{{"instances":[{row}]}}"#)),
        r#"{"predictions":[{"number_out":[1.0,2.0],"whole_out":-7,"text_out":["hä"],"grid_out":[[1.0],[2.0]]}]}"#
    );
    assert_eq!(tf("text", r#"{"instances":["a",{"b64":"/w=="},""]}"#), r#"{"predictions":["a",{"b64":"/w=="},""]}"#);
    assert_eq!(tf("half", r#"{"instances":[[0.5,65504]]}"#), r#"{"predictions":[[0.5,65504.0]]}"#);
    // Rounded once: by way of a float32 it would be 1.
    assert_eq!(tf("half", r#"{"instances":[[1.000488281251]]}"#), r#"{"predictions":[[1.0009766]]}"#);
}

#[test]
fn numbers_that_json_does_not_have_pass_where_their_contract_has_them() {
    let body = r#"{"instances":[[NaN, -Infinity],[Infinity, 1]]}"#;
    assert_eq!(tf("one", body), r#"{"predictions":[[NaN,-Infinity],[Infinity,1.0]]}"#);
    assert_eq!(tf("half", r#"{"instances":[[Inf,-Inf]]}"#), r#"{"predictions":[[Infinity,-Infinity]]}"#);
    assert_eq!(tf("text", r#"{"instances":["NaN"]}"#), r#"{"predictions":["NaN"]}"#);
    for dialect in [Dialect::Kserve, Dialect::Invocations, Dialect::Vertex] {
        let error = refused("one", dialect, body).to_string();
        assert!(error.contains("JSON has no NaN or Infinity"), "{error}");
    }
}

#[test]
fn bare_words_are_numbers_and_no_texts_and_texts_are_no_bare_words() {
    use Dialect::TfServing;
    // A gap where a feature is named: filled, or refused as any other gap.
    let (reply, filled) = ask("one", TfServing, Form::Json, r#"{"instances":[{"a":1,"b":NaN}]}"#).unwrap();
    assert_eq!((reply.as_str(), filled), (r#"{"predictions":[[1.0,0.5]]}"#, 1));
    check_refusals(&[
        ("one", TfServing, r#"{"instances":[{"a":NaN,"b":1}]}"#, "feature 'a' is"),
        ("one", TfServing, r#"{"instances":[{"a":-Infinity,"b":1}]}"#, "got -inf"),
        ("text", TfServing, r#"{"instances":["a",NaN]}"#, "not BYTES; expected a string, or {\"b64\": …}, got NaN"),
        ("text", TfServing, r#"{"instances":[Infinity]}"#, "got Infinity"),
        ("one", TfServing, r#"{"instances":[["\u0001NaN",1]]}"#, "got the string \"\\u{1}NaN\""),
        ("one", TfServing, r#"{"instances":[["\u0001NaN",NaN]]}"#, "a text begins with the character U+0001"),
        ("one", TfServing, r#"{"instances":[{"a":"\u0001NaN","b":1}]}"#, "feature 'a' has the wrong type"),
        ("half", TfServing, r#"{"instances":[[{"b64":"AU5hTg=="}, NaN]]}"#, "not FP16"),
        (
            "fixed",
            TfServing,
            r#"{"instances":[{"x":[1,2],"y":[true,NaN]}]}"#,
            "not BOOL; expected true or false, got NaN",
        ),
    ]);
    let text = r#"{"instances":["\u0001NaN"]}"#;
    assert_eq!(tf("text", text), r#"{"predictions":["\u0001NaN"]}"#);
    for dialect in [Dialect::Kserve, Dialect::Invocations, Dialect::Vertex] {
        assert!(refused("one", dialect, r#"{"instances":[["\u0001NaN",1]]}"#).to_string().contains("\\u{1}NaN"));
    }
}

#[test]
fn tables_are_read_by_feature_and_gaps_are_told() {
    let same = r#"{"predictions":[{"outputs":{"number_out":[1.0,0.5]}}]}"#;
    let read = |form, body: &str| ask("one", Dialect::Invocations, form, body.to_owned()).unwrap();
    for body in [
        r#"{"dataframe_split":{"columns":["b","a"],"index":[7],"data":[[null,1]]}}"#,
        r#"{"dataframe_split":{"data":[[null,1]],"columns":["b","a"]}}"#,
        r#"{"dataframe_records":[{"a":1,"b":null}],"params":{ }}"#,
        r#"{"instances":[[1,null]]}"#,
        r#"{"inputs":{"a":[1],"b":[null]}}"#,
    ] {
        assert_eq!(read(Form::Json, body), (same.to_owned(), 1), "{body}");
    }
    for (header, body) in [
        (None, "1,\n"),
        (None, "b,a\n,1\n"),
        (Some(true), "b,a\n,1\n"),
        (Some(false), "1,\n"),
        (None, "\u{feff}a,b\r\n1,\r\n"),
    ] {
        assert_eq!(read(Form::Csv { header }, body), (same.to_owned(), 1), "{body}");
    }
    for body in ["[1, null]\n", "{\"b\": null, \"a\": 1}"] {
        assert_eq!(read(Form::JsonLines, body), (same.to_owned(), 1), "{body}");
    }
    // What has no rows in common is one row.
    let body = r#"{"inputs":{"x":[1,2],"y":[[true,false]]}}"#;
    let whole = r#"{"predictions":[{"outputs":{"x_out":[1.0,2.0],"y_out":[[true,false]]}}]}"#;
    assert_eq!(ask("fixed", Dialect::Invocations, Form::Json, body).unwrap().0, whole);
    // And its tensors are whole where every one is a feature, too.
    let body = r#"{"inputs":{"x":[[1,2,3],[4,5,6]],"t":0.5}}"#;
    let reply = ask("single", Dialect::TfServing, Form::Json, body).unwrap().0;
    assert_eq!(reply, r#"{"outputs":{"x_out":[[1.0,2.0,3.0],[4.0,5.0,6.0]],"t_out":0.5}}"#);
    let reply = ask("single", Dialect::Invocations, Form::Json, body).unwrap().0;
    assert_eq!(reply, r#"{"predictions":[{"outputs":{"x_out":[[1.0,2.0,3.0],[4.0,5.0,6.0]],"t_out":0.5}}]}"#);
}

#[test]
fn a_first_line_is_a_header_only_if_it_can_be_nothing_else() {
    let read = |model, header, body: &str| {
        let (reply, _) = ask(model, Dialect::Invocations, Form::Csv { header }, body.to_owned()).unwrap();
        let reply: Value = serde_json::from_str(&reply).unwrap();
        let rows = reply["predictions"].as_array().unwrap().iter();
        json!(rows.map(|row| row["outputs"].as_object().unwrap().values().next().unwrap().clone()).collect::<Vec<_>>())
    };
    let two = "1,0,3,2\n5,6,7,8\n";
    assert_eq!(read("numbered", None, two), json!([[1.0, 0.0, 3.0, 2.0], [5.0, 6.0, 7.0, 8.0]]));
    assert_eq!(read("numbered", Some(false), two), read("numbered", None, two));
    assert_eq!(read("numbered", Some(true), two), json!([[6.0, 5.0, 8.0, 7.0]]));
    for (header, body, cells) in [
        (None, "city\n", json!([["city"]])),
        (None, "city\nparis\n", json!([["city"], ["paris"]])),
        (Some(true), "city\nparis\n", json!([["paris"]])),
    ] {
        assert_eq!(read("cities", header, body), cells, "{body}");
    }
    // One name among values may be a value, and a gap is one too.
    let mixed = "city,\nparis,1\n";
    let (reply, filled) = ask("mixed", Dialect::Invocations, Form::Csv { header: None }, mixed).unwrap();
    assert_eq!((reply.matches("\"city\"").count(), filled), (1, 1), "{reply}");
    for (body, says) in
        [("a,bb\n1,2\n", "the model has no feature \"bb\""), ("a,5\n1,2\n", "the model has no feature \"5\"")]
    {
        let error = ask("one", Dialect::Invocations, Form::Csv { header: None }, body).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_place_is_a_json_pointer() {
    let error = refused("oddly", Dialect::TfServing, r#"{"inputs":{"a/b~c \"ü\"":[1],"a/b~c \"ü\"":[1]}}"#);
    assert_eq!(error.details().at, Some("/inputs/a~1b~0c \"ü\""));
}

/// Models, dialects, wrong bodies and what is said of them.
type Refusals<'a> = &'a [(&'a str, Dialect, &'a str, &'a str)];

fn check_refusals(refusals: Refusals<'_>) {
    for (model, dialect, body, says) in refusals {
        let error = refused(model, *dialect, body);
        assert!(error.to_string().contains(says), "{dialect:?} {body}: {error}");
        assert!(status(error.code()).is_client_error(), "{body}: {error}");
    }
}

#[test]
fn what_is_wrong_with_a_body_of_tensors_is_said_where_it_is() {
    use Dialect::TfServing;
    check_refusals(&[
        ("one", TfServing, "[[1,2]]", "an object with \"instances\" or \"inputs\""),
        ("one", TfServing, "{}", "the body holds nothing to predict; expected \"instances\" or \"inputs\""),
        ("one", TfServing, r#"{"instances":[]}"#, "/instances: there are no rows"),
        ("one", TfServing, r#"{"instances":{}}"#, "expected a list of instances"),
        ("one", TfServing, r#"{"instances":[[1,2]],"inputs":[[1,2]]}"#, "/inputs: a body has one table"),
        (
            "one",
            TfServing,
            r#"{"instances":[[1,2]],"instances":[[1,2]]}"#,
            "/instances: this member stands there twice",
        ),
        ("one", TfServing, r#"{"instanzes":[[1,2]]}"#, "did you mean \"instances\"?"),
        ("one", TfServing, r#"{"instances":[[1,2]],"signature_name":"x"}"#, "/signature_name: the model has no such"),
        ("one", TfServing, r#"{"instances":[[1,2]],"signature_name":[1]}"#, "got \"[1]\""),
        (
            "one",
            TfServing,
            r#"{"instances":[[1,2],[1]]}"#,
            "/instances/1: input 'number' has lists of different lengths",
        ),
        ("one", TfServing, r#"{"instances":[[1,[2]]]}"#, "/instances/0: input 'number' is not nested evenly"),
        ("one", TfServing, r#"{"instances":[[[]],[1]]}"#, "/instances/1: input 'number' is not nested evenly"),
        ("one", TfServing, r#"{"instances":[[1,"2"]]}"#, "is not FP64; expected a number, got the string \"2\""),
        ("one", TfServing, r#"{"instances":[[1,null]]}"#, "got null"),
        ("one", TfServing, r#"{"instances":[[1,2,3]]}"#, "input 'number' has the wrong shape"),
        ("one", TfServing, r#"{"instances":[[[[[[[[[[1]]]]]]]]]]}"#, "at most 8 lists (limits.tensor_rank_max)"),
        ("one", TfServing, r#"{"instances":[{"nmber":[1,2]}]}"#, "the model has no feature \"nmber\""),
        (
            "one",
            TfServing,
            r#"{"instances":[{"a":11,"b":2}]}"#,
            "/instances/0/a: feature 'a' is out of the declared range",
        ),
        ("one", TfServing, r#"{"inputs":{"a":[1]}}"#, "/inputs: feature 'b' is missing"),
        ("one", TfServing, r#"{"inputs":{"a":[11],"b":[1]}}"#, "/inputs/a/0: feature 'a'"),
        ("one", TfServing, r#"{"instances":[{"number":[1,2]},[1,2]]}"#, "an object of values by input (number)"),
        (
            "one",
            TfServing,
            r#"{"instances":[{"number":[1,2],"number":[1,2]}]}"#,
            "/instances/0/number: this input stands",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_names_and_bytes_is_said_where_it_is() {
    use Dialect::TfServing;
    check_refusals(&[
        ("several", TfServing, r#"{"instances":[[1,2]]}"#, "the model has several inputs, so a value needs a name"),
        ("several", TfServing, r#"{"instances":[{"number":[1,2]}]}"#, "/instances/0: input 'whole' is missing"),
        ("several", TfServing, r#"{"inputs":{"number":[[1,2]],"wole":[1]}}"#, "did you mean 'whole'?"),
        (
            "text",
            TfServing,
            r#"{"instances":[{"b64":"?"}]}"#,
            "/instances/0: input 'text' holds \"b64\" that is no base64",
        ),
        ("text", TfServing, r#"{"instances":[{"b64":"","x":1}]}"#, "more than \"b64\""),
        ("text", TfServing, r#"{"instances":[1]}"#, "expected a string, or {\"b64\": …}, got 1"),
        ("text", TfServing, r#"{"instances":[{"b46":""}]}"#, "the model has no input \"b46\""),
        ("half", TfServing, r#"{"instances":[[1e6]]}"#, "expected a number within its range, got 1000000.0"),
        ("fixed", TfServing, r#"{"instances":[{"x":1,"y":[true,false]}]}"#, "input 'x' has the wrong shape"),
        ("fixed", TfServing, r#"{"inputs":{"x":[1,2],"y":[[true,1]]}}"#, "is not BOOL; expected true or false, got 1"),
    ]);
    let many = format!("{{\"instances\":[[{}]]}}", vec!["1"; 257].join(","));
    assert!(
        refused("half", TfServing, &many).to_string().contains("at most 256 elements (limits.tensor_elements_max)")
    );
    let deep = format!("{{\"instances\":{}", "[".repeat(10_000));
    assert!(status(refused("one", TfServing, &deep).code()).is_client_error());
}

#[test]
fn what_is_wrong_with_a_table_is_said_where_it_is() {
    use Dialect::{Invocations, Kserve, Vertex};
    check_refusals(&[
        ("one", Kserve, r#"{"inputs":[[1,2]]}"#, "there is no member \"inputs\" here; expected instances"),
        (
            "one",
            Vertex,
            r#"{"instances":[[1,2]],"parameters":{"x":1}}"#,
            "/parameters: an ONNX model takes no parameters",
        ),
        ("one", Invocations, r#"{"instances":[[1,2]],"params":[1]}"#, "/params: an ONNX model takes no parameters"),
        ("one", Invocations, r#"{"instances":[[1,"x"]]}"#, "/instances/0/1: feature 'b' has the wrong type"),
        ("one", Invocations, r#"{"instances":[[1]]}"#, "/instances/0: the row has the wrong number of values"),
        ("one", Invocations, r#"{"instances":[5]}"#, "/instances/0: this is no row"),
        ("one", Invocations, r#"{"dataframe_split":{}}"#, "/dataframe_split: \"columns\" is missing"),
        ("one", Invocations, r#"{"dataframe_split":{"columns":["a","b"]}}"#, "/dataframe_split: \"data\" is missing"),
        ("one", Invocations, r#"{"dataframe_split":{"name":1}}"#, "/dataframe_split: a member does not belong"),
        (
            "one",
            Invocations,
            r#"{"dataframe_split":{"columns":["a","c"],"data":[[1,2]]}}"#,
            "/dataframe_split/columns/1: the model has no feature \"c\"",
        ),
        (
            "one",
            Invocations,
            r#"{"dataframe_split":{"columns":["b","a"],"data":[[1,2],[1,"x"]]}}"#,
            "/dataframe_split/data/1/1: feature 'a' has the wrong type",
        ),
        (
            "one",
            Invocations,
            r#"{"dataframe_split":{"columns":["b","a"],"data":[[1]]}}"#,
            "/dataframe_split/data/0: the row has the wrong number of values; expected 2 values, one for each column",
        ),
        ("one", Invocations, r#"{"dataframe_split":{"columns":["b","a"],"data":[]}}"#, "there are no rows"),
        (
            "one",
            Invocations,
            r#"{"dataframe_records":[{"a":1,"c":2}]}"#,
            "/dataframe_records/0/c: the model has no feature",
        ),
    ]);
}

/// Any JSON, of words that mean something here.
fn json_value() -> impl Strategy<Value = Value> {
    let words = select(vec![
        "instances",
        "inputs",
        "dataframe_split",
        "dataframe_records",
        "columns",
        "data",
        "index",
        "params",
        "b64",
        "a",
        "b",
        "number",
        "whole",
        "text",
        "grid",
        "x",
        "y",
        "half",
        "signature_name",
        "aGk=",
        "NaN",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-9.0..9.0_f64).prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 4, move |inner| {
        let members = vec((words.clone(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn forms() -> impl Strategy<Value = Form> {
    select(vec![Form::Json, Form::JsonLines, Form::Csv { header: None }, Form::Csv { header: Some(true) }])
}

fn check(model: &str, dialect: Dialect, form: Form, body: impl Into<Bytes>) -> Result<(), TestCaseError> {
    if let Err(error) = ask(model, dialect, form, body) {
        prop_assert!(status(error.code()).is_client_error(), "{}", error);
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_bytes_come_are_read_or_refused(
        body in vec(any::<u8>(), 0..200), model in select(&MODELS[..]), dialect in select(&DIALECTS[..]), form in forms(),
    ) {
        check(model, dialect, form, body)?;
    }

    #[test]
    fn whatever_json_comes_is_read_or_refused(
        table in json_value(), member in select(vec!["instances", "inputs", "dataframe_split", "dataframe_records"]),
        model in select(&MODELS[..]), dialect in select(&DIALECTS[..]), cut in 0..400_usize,
    ) {
        let body = json!({ member: table }).to_string();
        check(model, dialect, Form::Json, body.clone())?;
        check(model, dialect, Form::Json, body.as_bytes().get(..cut).unwrap_or(b"{").to_vec())?;
        check(model, dialect, Form::JsonLines, format!("{table}\n"))?;
    }

    #[test]
    fn rows_come_back_as_they_went(rows in vec((-1e300..1e300_f64, prop::num::f64::NORMAL), 1..9)) {
        let rows: Vec<_> = rows.into_iter().map(|(a, b)| json!([a, b])).collect();
        let reply = tf("one", &json!({"instances": rows}).to_string());
        prop_assert_eq!(serde_json::from_str::<Value>(&reply).unwrap(), json!({"predictions": rows}));
        let reply = tf("one", &json!({"inputs": rows}).to_string());
        prop_assert_eq!(serde_json::from_str::<Value>(&reply).unwrap(), json!({"outputs": rows}));
    }
}
