//! Predict bodies against a real version over the null engine: every form of a table gives the same tensors,
//! and whatever comes, nothing panics and what is wrong is the caller's fault.

use std::sync::{Arc, LazyLock};

use actix_web::web::Bytes;
use candor_domain::{Error, ManualClock, ModelName, Phase, Result, Tensor, TensorData};
use candor_engine_conformance::NullEngine;
use candor_serving::{
    Codec as _, Engines, Lease, Ran, Registry, RegistrySettings, Repository, VersionPolicy, oip::TensorLimits,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{Form, PredictCodec, PredictReplyBody};
use crate::{error::status, limits::HttpLimits, wire::ReplyEncoding};

/// One model that takes a number, a whole number, a text and a nested list, and gives them back.
struct World {
    registry: Registry,
    _folder: tempfile::TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let folder = tempfile::TempDir::new().unwrap();
    let version = folder.path().join("all/1");
    std::fs::create_dir_all(&version).unwrap();
    let input = |name: &str, datatype: &str, dims: &str| {
        format!("[[inputs]]\nname = \"{name}\"\ndatatype = \"{datatype}\"\ndims = [\"rows\"{dims}]\n")
    };
    let echo = |name: &str, datatype: &str, dims: &str, of: &str| {
        format!("[[outputs]]\nname = \"{name}\"\ndatatype = \"{datatype}\"\ndims = [\"rows\"{dims}]\necho = \"{of}\"\n")
    };
    let graph = input("number", "FP64", ", 2")
        + &input("whole", "INT64", "")
        + &input("text", "BYTES", ", 1")
        + &input("grid", "FP32", ", 2, -1")
        + &echo("probabilities", "FP64", ", 2", "number")
        + &echo("label", "INT64", "", "whole")
        + &echo("name", "BYTES", ", 1", "text")
        + &echo("grid_again", "FP32", ", 2, -1", "grid");
    std::fs::write(version.join("model.onnx"), graph).unwrap();
    let manifest = "[[inputs]]\nname = \"number\"\nfeatures = [{ name = \"a\" }, { name = \"b\" }]\n\
                    [[outputs]]\nname = \"label\"\nlabels = []\n";
    std::fs::write(folder.path().join("all/model.toml"), manifest).unwrap();
    // What a manifest can say of features.
    let declared = folder.path().join("declared/1");
    std::fs::create_dir_all(&declared).unwrap();
    let graph = input("colour", "BYTES", ", 1") + &input("count", "INT8", ", 1") + &echo("y", "INT8", ", 1", "count");
    std::fs::write(
        declared.join("model.onnx"),
        graph
            + &echo("shared", "FP32", "", "none")
                .replace("[\"rows\"]", "[3]")
                .replace("echo = \"none\"", "constant = 1"),
    )
    .unwrap();
    let manifest = "[[inputs]]\nname = \"colour\"\n\
                    features = [{ name = \"colour\", categories = [\"red\", \"blue\"], impute = \"red\" }]\n\
                    [[inputs]]\nname = \"count\"\n\
                    features = [{ name = \"count\", min = 0.5, max = 1000.0, default = 3.0 }]\n";
    std::fs::write(folder.path().join("declared/model.toml"), manifest).unwrap();
    let settings = RegistrySettings { version_policy: VersionPolicy::All, ..RegistrySettings::default() };
    let engines = Engines::one(Arc::new(NullEngine::new()));
    let repository = Repository::open(folder.path(), 1_u64 << 20).unwrap();
    let registry = Registry::start(engines, repository, Arc::new(ManualClock::default()), settings).unwrap();
    for model in ["all", "declared"] {
        registry.load(ModelName::parse(model).unwrap(), None).unwrap().wait_blocking().unwrap().unwrap();
    }
    World { registry, _folder: folder }
});

fn version() -> Lease {
    WORLD.registry.lease("all", None).unwrap()
}

fn limits() -> Arc<HttpLimits> {
    Arc::new(HttpLimits {
        body_bytes_max: 1 << 20,
        decompressed_bytes_max: 1 << 20,
        body_read_max: std::time::Duration::from_secs(1),
        json_depth_max: 32,
        tensors: TensorLimits { elements_max: 4096, rank_max: 8, tensors_max: 64, name_bytes_max: 64 },
        compress_bytes_min: usize::MAX,
    })
}

fn decode(form: Form, body: impl Into<Bytes>) -> Result<(PredictCodec, Vec<Tensor>)> {
    let mut codec = PredictCodec::new(body.into(), form, ReplyEncoding::Identity, limits());
    let request = codec.decode(&version())?;
    Ok((codec, request.inputs))
}

fn refused(form: Form, body: impl Into<Bytes>) -> Error {
    decode(form, body).err().unwrap()
}

fn encode(codec: PredictCodec, tensors: Vec<Tensor>) -> Value {
    let clock = ManualClock::default();
    clock.advance(std::time::Duration::from_millis(1_700_000_000_123));
    let version = version();
    let mut nanos = [None; Phase::ALL.len()];
    nanos[Phase::Run as usize] = Some(1_234_567);
    let ran = Ran {
        version: &version,
        fallback_from: None,
        outputs: tensors,
        nanos,
        laps: &[],
        batch: None,
        cache: None,
        clock: &clock,
    };
    serde_json::from_slice(&codec.encode(ran).unwrap().bytes).unwrap()
}

/// A row of the model.
type Row = (f64, f64, i64, String, Vec<f32>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let number = prop::num::f64::NORMAL | prop::num::f64::ZERO;
    let single = prop::num::f32::NORMAL | prop::num::f32::ZERO;
    (1..4_usize).prop_flat_map(move |wide| vec((number, number, any::<i64>(), ".{0,8}", vec(single, 2 * wide)), 1..5))
}

fn grid(values: &[f32]) -> Value {
    let (top, bottom) = values.split_at(values.len() / 2);
    json!([top, bottom])
}

fn objects(rows: &[Row]) -> Vec<Value> {
    rows.iter()
        .map(|(a, b, whole, text, values)| json!({"grid": grid(values), "text": text, "a": a, "whole": whole, "b": b}))
        .collect()
}

fn lists(rows: &[Row]) -> Vec<Value> {
    rows.iter().map(|(a, b, whole, text, values)| json!([a, b, whole, text, grid(values)])).collect()
}

proptest! {
    #[test]
    fn every_form_of_a_table_gives_the_same_tensors(rows in rows()) {
        let column = |get: &dyn Fn(&Row) -> Value| rows.iter().map(get).collect::<Vec<_>>();
        let columns = json!({
            "a": column(&|row| json!(row.0)), "b": column(&|row| json!(row.1)), "whole": column(&|row| json!(row.2)),
            "text": column(&|row| json!(row.3)), "grid": column(&|row| grid(&row.4))});
        let lines = |rows: Vec<Value>| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
        let (codec, want) = decode(Form::Json, json!({"rows": objects(&rows)}).to_string()).unwrap();
        for (form, body) in [
            (Form::Json, json!({"rows": lists(&rows)}).to_string()),
            (Form::Json, json!({"timeout_ms": 5, "columns": columns, "id": "x"}).to_string()),
            (Form::JsonLines, lines(objects(&rows))),
            (Form::JsonLines, format!("\n{}\n", lines(lists(&rows)))),
        ] {
            prop_assert_eq!(&decode(form, body).unwrap().1, &want);
        }
        prop_assert_eq!(want[3].shape().dims(), [rows.len() as i64, 2, rows[0].4.len() as i64 / 2]);
        // The model gives back what it takes, so the reply holds the rows again.
        let reply = encode(codec, want);
        for (got, row) in reply["predictions"].as_array().unwrap().iter().zip(&rows) {
            prop_assert_eq!(&got["probabilities"], &json!({"0": row.0, "1": row.1}));
            prop_assert_eq!(&got["label"], &json!(row.2.to_string()));
            prop_assert_eq!(&got["outputs"]["name"], &json!([row.3]));
            let values: Vec<Vec<f32>> = serde_json::from_value(got["outputs"]["grid_again"].clone()).unwrap();
            prop_assert_eq!(values.concat(), row.4.clone());
        }
    }

    #[test]
    fn whatever_comes_is_read_or_refused(body in vec(any::<u8>(), 0..200), pick in 0..4_usize) {
        let form = [Form::Json, Form::JsonLines, Form::Csv { header: true }, Form::Csv { header: false }][pick];
        if let Err(error) = decode(form, body) {
            prop_assert!(status(error.code()).is_client_error(), "{}", error);
        }
    }

    #[test]
    fn a_body_with_a_piece_torn_out_is_read_or_refused(rows in rows(), from in 0..200_usize, cut in 1..20_usize) {
        let text = json!({"rows": objects(&rows)}).to_string().into_bytes();
        let from = from.min(text.len());
        let to = (from + cut).min(text.len());
        let torn = [&text[..from], &text[to..]].concat();
        // A body that begins with an id is read by serde_json alone.
        let explained = torn.strip_prefix(b"{").map(|members| decode(Form::Json, [b"{\"id\":\"\",", members].concat()));
        let read = decode(Form::Json, torn);
        if let Some(explained) = explained {
            prop_assert_eq!(read.as_ref().ok().map(|read| &read.1), explained.as_ref().ok().map(|read| &read.1));
        }
        if let Err(error) = read {
            prop_assert!(status(error.code()).is_client_error(), "{}", error);
        }
    }
}

#[test]
fn a_reply_is_what_the_document_says() {
    let (codec, tensors) = decode(Form::Json, r#"{"rows":[[1, 2.5, 3, "x", [[1], [2]]]], "id": "mine"}"#).unwrap();
    let reply = encode(codec, tensors);
    let body: PredictReplyBody = serde_json::from_value(reply.clone()).unwrap();
    assert_eq!(serde_json::to_value(&body).unwrap(), reply, "the document lacks something");
    assert_eq!((body.id.as_deref(), body.model.as_str(), body.version.as_str()), (Some("mine"), "all", "1"));
    assert_eq!(body.timings_ms.run, 1.234);
    let id = uuid::Uuid::parse_str(&body.prediction_id).unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_timestamp().unwrap().to_unix(), (1_700_000_000, 123_000_000));
}

#[test]
fn csv_is_read_by_the_types_of_its_columns() {
    // The nested list cannot stand in a line of CSV, so this model takes none; the columns before it are read.
    let error = refused(Form::Csv { header: true }, "b,a,whole,text,grid\n2,1,3,x,y\n");
    assert!(error.to_string().contains("line 2, column \"grid\"") && error.to_string().contains("nested list"));
    let error = refused(Form::Csv { header: true }, "a,b,whole,txt\n");
    let all: Vec<_> = [&error].into_iter().chain(error.others()).map(ToString::to_string).collect();
    assert!(all[0].contains("did you mean 'text'?") && all[1].contains("'text' is missing"), "{all:?}");
    // Rows are told by the line on which they begin, whatever stands between.
    let error = refused(Form::JsonLines, "\n[1,2,3,\"x\",[[1],[2]]]\n\n[1,\"y\",3,\"x\",[[1],[2]]]").to_string();
    assert!(error.starts_with("line 4, /b: feature 'b'"), "{error}");
    let error = refused(Form::Csv { header: true }, ",b,whole,text,grid\n").to_string();
    assert!(error.contains("a column has no name") && error.contains("to_csv(index=False)"), "{error}");
    let error = refused(Form::Csv { header: false }, "1,2,3\n").to_string();
    assert!(error.contains("line 1: the line has the wrong number of cells; expected 5 cells, got 3"), "{error}");
    assert!(refused(Form::Csv { header: true }, &b"a\xff"[..]).to_string().contains("not UTF-8"));
}

#[test]
fn nested_lists_must_be_even() {
    for (grid, words) in [
        ("[[1],[2,3]]", "has a list of the wrong length; expected 1 members in dimension 1 of each row, got 2"),
        ("[[1]]", "has a list of the wrong length; expected 2 members in dimension 0 of each row, got 1"),
        ("[1, 2]", "a nested list of shape"),
        ("[[[1]],[[2]]]", "got a list"),
        ("7", "got 7"),
        ("null", "got null"),
        ("{}", "got an object"),
        ("[[true],[1]]", "got true in the list"),
    ] {
        let body = format!(r#"{{"rows":[[1, 2, 3, "x", {grid}]]}}"#);
        let error = refused(Form::Json, body).to_string();
        assert!(error.starts_with("/rows/0/4: feature 'grid'") && error.contains(words), "{grid}: {error}");
    }
}

#[test]
fn a_typed_document_says_what_is_taken_and_no_more() {
    let lease = WORLD.registry.lease("declared", None).unwrap();
    let document = super::document(&lease, crate::openapi::document());
    let row = &document["components"]["schemas"]["Row"];
    assert_eq!(row["required"], json!(["colour"]));
    // Null is taken, so it is one of the values; no whole number lies below 1, no INT8 above 127.
    assert_eq!(row["properties"]["colour"]["type"], json!(["string", "null"]));
    assert_eq!(row["properties"]["colour"]["enum"], json!(["red", "blue", null]));
    let count = &row["properties"]["count"];
    assert_eq!((&count["minimum"], &count["maximum"], &count["x-default"]), (&json!(1), &json!(127), &json!(3)));
    assert_eq!(count.get("default"), None);
    assert_eq!(row["example"], json!({"colour": "red", "count": 127}));
    // One value for all rows stands beside the predictions.
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["Prediction"]["properties"]["outputs"]["properties"],
        json!({"y": {"type": "array", "items": {"type": "integer"}}})
    );
    assert_eq!(
        schemas["PredictReply"]["properties"]["outputs"]["properties"],
        json!({"shared": {"type": "array", "items": {"type": "number"}}})
    );
}

#[test]
fn values_that_are_not_finite_are_never_written() {
    let (codec, mut tensors) = decode(Form::Json, r#"{"rows":[[1, 2, 3, "x", [[1], [2]]]]}"#).unwrap();
    let shape = *tensors[0].shape();
    tensors[0] = Tensor::new(shape, TensorData::Fp64(vec![1.0, f64::NAN])).unwrap();
    let version = version();
    let clock = ManualClock::default();
    let ran = Ran {
        version: &version,
        fallback_from: None,
        outputs: tensors,
        nanos: Default::default(),
        laps: &[],
        batch: None,
        cache: None,
        clock: &clock,
    };
    let error = codec.encode(ran).err().unwrap().to_string();
    assert!(error.contains("output 'probabilities' is NaN or infinite at element 1"), "{error}");
}
