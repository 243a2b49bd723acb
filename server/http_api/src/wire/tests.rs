//! Properties of the decoder and the encoder: whatever comes, no panic; what is wrong is the caller's fault
//! and said to be; what was written is read back, bit by bit.

use std::sync::{Arc, LazyLock};

use actix_web::web::Bytes;
use candor_domain::{BytesArray, Datatype, Error, ManualClock, ModelName, Shape, Tensor, TensorData};
use candor_engine_conformance::NullEngine;
use candor_serving::{
    Codec as _, Engines, InferRequest, Lease, Ran, Registry, RegistrySettings, Repository, VersionPolicy,
    oip::{TensorLimits, bytes},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Value, json};

use super::{InferCodec, ReplyBody, ReplyEncoding};
use crate::{error::status, limits::HttpLimits};

/// A version of a model of the null engine: `wide` takes every datatype at once, the others give back the one
/// input that they take.
struct Versions {
    registry: Registry,
    _folder: tempfile::TempDir,
}

static VERSIONS: LazyLock<Versions> = LazyLock::new(|| {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |model: &str, text: String| {
        let version = folder.path().join(model).join("1");
        std::fs::create_dir_all(&version).unwrap();
        std::fs::write(version.join("model.onnx"), text).unwrap();
    };
    let spec = |side: &str, name: &str, datatype: Datatype, more: &str| {
        format!("[[{side}]]\nname = \"{name}\"\ndatatype = \"{datatype}\"\ndims = [\"rows\", -1]\n{more}")
    };
    let wide: String = Datatype::ALL.iter().map(|datatype| spec("inputs", datatype.name(), *datatype, "")).collect();
    write("wide", wide + &spec("outputs", "y", Datatype::Fp32, "echo = \"FP32\"\n"));
    for datatype in Datatype::ALL {
        let text = spec("inputs", "x", datatype, "") + &spec("outputs", "x", datatype, "echo = \"x\"\n");
        write(datatype.name(), text);
    }
    let settings = RegistrySettings { version_policy: VersionPolicy::All, ..RegistrySettings::default() };
    let engines = Engines::one(Arc::new(NullEngine::new()));
    let repository = Repository::open(folder.path(), 1_u64 << 20).unwrap();
    let registry = Registry::start(engines, repository, Arc::new(ManualClock::default()), settings).unwrap();
    let names = Datatype::ALL.iter().map(|datatype| datatype.name()).chain(["wide"]);
    for name in names {
        let load = registry.load(ModelName::parse(name).unwrap(), None).unwrap();
        load.wait_blocking().unwrap().unwrap();
    }
    Versions { registry, _folder: folder }
});

fn version(model: &str) -> Lease {
    VERSIONS.registry.lease(model, None).unwrap()
}

/// What a run gave that took no time.
fn ran(version: &Lease, outputs: Vec<Tensor>) -> Ran<'_> {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::default);
    Ran {
        version,
        fallback_from: None,
        outputs,
        nanos: Default::default(),
        laps: &[],
        batch: None,
        cache: None,
        clock: &*CLOCK,
    }
}

fn limits() -> Arc<HttpLimits> {
    Arc::new(HttpLimits {
        body_bytes_max: 1 << 20,
        decompressed_bytes_max: 1 << 20,
        body_read_max: std::time::Duration::from_secs(1),
        json_depth_max: 100,
        tensors: TensorLimits { elements_max: 1 << 16, rank_max: 8, tensors_max: 256, name_bytes_max: 1024 },
        compress_bytes_min: usize::MAX,
    })
}

fn decode(model: &str, body: Vec<u8>, header: Option<&str>) -> Result<(InferCodec, InferRequest), Error> {
    let mut codec = InferCodec::new(Bytes::from(body), header, ReplyEncoding::Identity, limits())?;
    let version = version(model);
    let request = codec.decode(&version)?;
    version.signature.check(&request.inputs, version.manifest.rules())?;
    Ok((codec, request))
}

/// Whatever is said about a body, it is the caller's fault, and said in so many words and no more.
fn is_fair(outcome: &Result<(InferCodec, InferRequest), Error>) -> Result<(), TestCaseError> {
    if let Err(error) = outcome {
        prop_assert!(status(error.code()).is_client_error(), "{error}");
        let text = error.to_string();
        prop_assert!(!text.is_empty() && text.len() < 10_000, "{} bytes: {text:.200}", text.len());
    }
    Ok(())
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![0_i64, 1, -1, 2, i64::MIN, i64::MAX]).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["FP32", "BYTES", "INT8", "x", "wide", "data", "\0", "\u{feff}"])
            .prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 40, 6, |inner| {
        let key = prop_oneof![
            ".{0,6}",
            prop::sample::select(vec!["name", "shape", "data", "inputs", "outputs", "parameters", "binary_data_size"])
                .prop_map(str::to_owned)
        ];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((key, inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
        ]
    })
}

/// Elements of every datatype, all finite.
fn elements(datatype: Datatype, count: usize) -> BoxedStrategy<TensorData> {
    macro_rules! of {
        ($variant:ident, $element:expr) => {
            vec($element, count).prop_map(TensorData::$variant).boxed()
        };
    }
    match datatype {
        Datatype::Bool => of!(Bool, 0..=1_u8),
        Datatype::Uint8 => of!(Uint8, any::<u8>()),
        Datatype::Uint16 => of!(Uint16, any::<u16>()),
        Datatype::Uint32 => of!(Uint32, any::<u32>()),
        Datatype::Uint64 => of!(Uint64, any::<u64>()),
        Datatype::Int8 => of!(Int8, any::<i8>()),
        Datatype::Int16 => of!(Int16, any::<i16>()),
        Datatype::Int32 => of!(Int32, any::<i32>()),
        Datatype::Int64 => of!(Int64, any::<i64>()),
        Datatype::Fp16 => of!(Fp16, any::<u16>()),
        Datatype::Bf16 => of!(Bf16, any::<u16>()),
        Datatype::Fp32 => of!(Fp32, any::<f32>().prop_filter("finite", |number| number.is_finite())),
        Datatype::Fp64 => of!(Fp64, any::<f64>().prop_filter("finite", |number| number.is_finite())),
        Datatype::Bytes => {
            let text =
                prop_oneof![any::<String>().prop_map(String::into_bytes), "\\PC{0,12}".prop_map(String::into_bytes)];
            vec(text, count).prop_map(|texts| TensorData::Bytes(texts.iter().collect::<BytesArray>())).boxed()
        }
    }
}

fn tensor() -> impl Strategy<Value = Tensor> {
    let shape = (prop::sample::select(Datatype::ALL.to_vec()), 1_i64..4, 1_i64..5);
    shape.prop_flat_map(|(datatype, rows, columns)| {
        let shape = Shape::new(&[rows, columns]).unwrap();
        elements(datatype, shape.elements()).prop_map(move |data| Tensor::new(shape, data).unwrap())
    })
}

/// The bytes of a tensor, by which two are compared: a NaN is the same as itself.
fn bits(tensor: &Tensor) -> Vec<u8> {
    let mut bits = Vec::new();
    bytes::write_tensor(tensor.data(), &mut bits);
    bits
}

/// A request in bytes that carries this tensor to the model that gives it back.
fn request_in_bytes(tensor: &Tensor, as_bytes: bool) -> (Vec<u8>, String) {
    let bytes = bits(tensor);
    let json = json!({"id": "7", "parameters": {"binary_data_output": as_bytes}, "inputs": [{"name": "x",
        "datatype": tensor.datatype().name(), "shape": tensor.shape().dims(),
        "parameters": {"binary_data_size": bytes.len()}}]});
    let json = json.to_string();
    let length = json.len().to_string();
    ([json.into_bytes(), bytes].concat(), length)
}

/// A reply turned into the request that sends its outputs back.
fn turned_round(reply: ReplyBody) -> (Vec<u8>, Option<String>) {
    let (json, bytes) = reply.bytes.split_at(reply.json_bytes.unwrap_or(reply.bytes.len()));
    let reply_json: Value = serde_json::from_slice(json).unwrap();
    let json = json!({"inputs": reply_json["outputs"]}).to_string();
    let length = reply.json_bytes.map(|_| json.len().to_string());
    ([json.as_bytes(), bytes].concat(), length)
}

/// A good request to `wide`, half of it in bytes.
fn good(rows: i64) -> (Value, Vec<u8>) {
    let (mut inputs, mut tensors) = (Vec::new(), Vec::new());
    let count = usize::try_from(rows).unwrap() * 2;
    for (index, datatype) in Datatype::ALL.into_iter().enumerate() {
        let mut input = json!({"name": datatype.name(), "datatype": datatype.name(), "shape": [rows, 2]});
        let in_bytes = index % 2 == 0 || matches!(datatype, Datatype::Fp16 | Datatype::Bf16);
        if in_bytes {
            let before = tensors.len();
            bytes::write_tensor(&TensorData::zeros(datatype, count), &mut tensors);
            input["parameters"] = json!({"binary_data_size": tensors.len() - before});
        } else {
            input["data"] = vec![if datatype == Datatype::Bytes { json!("") } else { json!(0) }; count].into();
        }
        inputs.push(input);
    }
    (json!({"id": "1", "inputs": inputs, "outputs": [{"name": "y", "parameters": {"classification": 1}}]}), tensors)
}

/// Something that goes wrong with a request.
#[derive(Debug, Clone)]
enum Mutation {
    /// A value of its JSON becomes another.
    Replace(Index, Value),
    /// A key or an element is left out.
    Remove(Index),
    /// A key or an element stands there twice, or under the name of another.
    Copy(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<Index>(), anything()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        any::<Index>().prop_map(Mutation::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Copy(from, to)),
    ]
}

/// Places of all values in a JSON value, itself first.
fn places(value: &Value) -> Vec<String> {
    let mut places = vec![String::new()];
    let inner: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.replace('~', "~0").replace('/', "~1"), item)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (key, item) in inner {
        places.extend(self::places(item).into_iter().map(|rest| format!("/{key}{rest}")));
    }
    places
}

fn mutate(json: &mut Value, mutation: &Mutation) {
    let places = places(json);
    let (target, value) = match mutation {
        Mutation::Replace(at, value) => (at.get(&places), Some(value.clone())),
        Mutation::Remove(at) => (at.get(&places), None),
        Mutation::Copy(from, to) => (to.get(&places), json.pointer(&places[from.index(places.len())]).cloned()),
    };
    if let Some(value) = value {
        if let Some(slot) = json.pointer_mut(target) {
            *slot = value;
        }
        return;
    }
    let Some((around, key)) = target.rsplit_once('/') else { return };
    match json.pointer_mut(around) {
        Some(Value::Object(map)) => drop(map.remove(key)),
        Some(Value::Array(items)) => drop(items.remove(key.parse().unwrap())),
        _ => {}
    }
}

fn header() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        4 => Just(None),
        2 => (0_usize..400).prop_map(|length| Some(length.to_string())),
        1 => any::<u64>().prop_map(|length| Some(length.to_string())),
        1 => ".{0,12}".prop_map(Some),
    ]
}

/// What the quick reader reads, serde_json reads as well; gives whether it read the body.
fn quick_is_right(model: &str, body: &[u8]) -> Result<bool, TestCaseError> {
    let codec = InferCodec::new(Bytes::from(body.to_vec()), None, ReplyEncoding::Identity, limits()).unwrap();
    let version = version(model);
    let Some(quick) = codec.read_quickly(&version.signature, body) else { return Ok(false) };
    let slow =
        codec.read_and_explain(&version.signature, body).map_err(|error| TestCaseError::fail(error.to_string()))?;
    // What is shown of a float tells -0 from 0, and all others by their shortest digits.
    prop_assert_eq!(format!("{quick:?}"), format!("{slow:?}"));
    Ok(true)
}

#[test]
fn usual_bodies_are_read_quickly_and_odd_ones_are_left_to_serde() {
    for body in [
        r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2.5,-3e2,0.1]}]}"#,
        r#" { "id" : "a\u00e9\n", "inputs" : [ { "name" : "x", "datatype":"FP32", "shape":[2,2], "data": [[1,2],[3,4]] } ] } "#,
        r#"{"id":null,"parameters":{"timeout":5,"other":"x\\","deep":1e3},"x":[{"y":[null,true,false,-1]},"\""],"outputs":[
            {"name":"x","parameters":{"binary_data":true}}],"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}],"outputs":[]}"#,
    ] {
        assert!(quick_is_right("FP32", body.as_bytes()).unwrap(), "{body}");
    }
    let texts = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"BYTES","data":["é","a\u00e9\ud83d\ude00b"]}]}"#;
    assert!(quick_is_right("BYTES", texts.as_bytes()).unwrap());
    let deep = |levels| format!(r#"{{"x":{}1{},"inputs":[]}}"#, "[".repeat(levels), "]".repeat(levels));
    let raw = r#"{"$serde_json::private::RawValue":"[1]"}"#;
    for body in [
        // The data come before one knows what they are.
        r#"{"inputs":[{"data":[1],"datatype":"FP32","name":"x","shape":[1,1]}]}"#.to_owned(),
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}]},"#.to_owned(),
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1],}]}"#.to_owned(),
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[01]}]}"#.to_owned(),
        r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]} ]"#.to_owned(),
        r#"{"inputs":[{"name":"x\ud800","shape":[1,1],"datatype":"FP32","data":[1]}]}"#.to_owned(),
        format!(r#"{{"inputs":[{{"data":{raw},"name":"x","shape":[1,1],"datatype":"FP32"}}]}}"#),
        format!(r#"{{"inputs":[{{"name":"x","shape":[1,1],"datatype":"FP32","data":{raw}}}]}}"#),
        "{\"id\":\"\u{1}\",\"inputs\":[]}".to_owned(),
        deep(100),
        deep(100_000),
        String::new(),
    ] {
        assert!(!quick_is_right("FP32", body.as_bytes()).unwrap(), "{body:.200}");
    }
    assert!(!quick_is_right("FP32", b"{\"id\":\"\xff\",\"inputs\":[]}").unwrap());
    assert!(quick_is_right("FP32", deep(90).as_bytes()).unwrap());
    let sorted = br#"{"inputs":[{"data":[1,0.5],"datatype":"FP32","name":"x","shape":[1,2]}]}"#;
    let (_, request) = decode("FP32", sorted.to_vec(), None).ok().unwrap();
    assert_eq!(*request.inputs[0].data(), TensorData::Fp32(vec![1.0, 0.5]));
}

#[test]
fn the_request_that_is_mutated_is_a_good_one() {
    let (json, _) = good(3);
    assert!(quick_is_right("wide", json.to_string().as_bytes()).unwrap());

    let (json, tensors) = good(3);
    let json = json.to_string();
    let length = json.len().to_string();
    let (_, request) = decode("wide", [json.as_bytes(), &tensors].concat(), Some(&length)).ok().unwrap();
    assert_eq!(request.inputs.len(), Datatype::ALL.len());
}

proptest! {
    #[test]
    fn random_bytes_are_refused_politely(body in vec(any::<u8>(), 0..300), header in header()) {
        for model in ["wide", "FP32", "BYTES"] {
            quick_is_right(model, &body)?;
            is_fair(&decode(model, body.clone(), header.as_deref()))?;
        }
    }

    #[test]
    fn random_json_is_refused_politely(json in anything(), header in header()) {
        let mut with_inputs = Map::new();
        with_inputs.insert("inputs".to_owned(), json.clone());
        for json in [json, Value::Object(with_inputs)] {
            quick_is_right("wide", json.to_string().as_bytes())?;
            is_fair(&decode("wide", json.to_string().into_bytes(), header.as_deref()))?;
        }
    }

    #[test]
    fn mutated_requests_are_refused_politely(
        rows in 1_i64..3,
        mutations in vec(mutation(), 1..4),
        length_is_off_by in prop_oneof![6 => Just(0_i64), 1 => -40_i64..40],
        cut in prop_oneof![6 => Just(None), 1 => any::<Index>().prop_map(Some)],
        flip in prop_oneof![3 => Just(None), 1 => (any::<Index>(), any::<u8>()).prop_map(Some)],
    ) {
        let (mut json, tensors) = good(rows);
        for mutation in &mutations {
            mutate(&mut json, mutation);
        }
        let json = json.to_string();
        let length = i64::try_from(json.len()).unwrap() + length_is_off_by;
        let mut body = [json.as_bytes(), &tensors].concat();
        if let Some((at, bits)) = flip {
            let at = at.index(body.len());
            body[at] ^= bits;
        }
        quick_is_right("wide", body.get(..json.len()).unwrap_or_default())?;
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        is_fair(&decode("wide", body, Some(&length.to_string())))?;
    }

    #[test]
    fn huge_sizes_cost_nothing(dims in vec(prop_oneof![0..=3_i64, any::<i64>()], 0..10), size: u64) {
        let shape = json!(dims);
        let here = json!({"inputs": [{"name": "FP32", "datatype": "FP32", "shape": shape, "data": [1]}]});
        let behind = json!({"inputs": [{"name": "BYTES", "datatype": "BYTES", "shape": shape,
            "parameters": {"binary_data_size": size}}]});
        for json in [here, behind] {
            let outcome = decode("wide", json.to_string().into_bytes(), None);
            prop_assert!(outcome.is_err());
            is_fair(&outcome)?;
        }
    }

    #[test]
    fn what_is_written_is_read_back(tensor in tensor(), as_bytes: bool) {
        let model = tensor.datatype().name();
        let (body, length) = request_in_bytes(&tensor, as_bytes);
        let (codec, request) = decode(model, body, Some(&length)).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(bits(&request.inputs[0]), bits(&tensor));
        let reply = codec.encode(ran(&version(model), request.inputs));
        if matches!(tensor.datatype(), Datatype::Fp16 | Datatype::Bf16) && !as_bytes {
            prop_assert!(reply.is_err(), "there is no JSON for it");
            return Ok(());
        }
        let (body, length) = turned_round(reply.map_err(|error| TestCaseError::fail(error.to_string()))?);
        prop_assert_eq!(length.is_some(), as_bytes);
        let back = decode(model, body, length.as_deref()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(bits(&back.1.inputs[0]), bits(&tensor));
        prop_assert_eq!(back.1.inputs[0].shape(), tensor.shape());
    }

    #[test]
    fn numbers_that_json_does_not_have_leave_as_bytes_or_not_at_all(
        bits32 in prop_oneof![Just(f32::NAN.to_bits()), Just(f32::INFINITY.to_bits()), 0x7f80_0000_u32..=0x7fff_ffff],
    ) {
        let data = TensorData::Fp32(vec![1.0, f32::from_bits(bits32)]);
        let tensor = Tensor::new(Shape::new(&[1, 2]).unwrap(), data).unwrap();
        let outcome = |as_bytes| {
            let (body, length) = request_in_bytes(&tensor, as_bytes);
            let (codec, request) = decode("FP32", body, Some(&length)).ok().unwrap();
            codec.encode(ran(&version("FP32"), request.inputs))
        };
        let reply = outcome(true).unwrap();
        prop_assert!(reply.bytes.ends_with(&bits(&tensor)));
        let error = outcome(false).unwrap_err();
        prop_assert!(status(error.code()).is_client_error());
    }
}
