//! Requests written by prost, read by hand: the same tensors in both forms; whatever comes, no panic, and what is
//! wrong is the caller's fault and said to be.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use candor_domain::{BytesArray, Datatype, Error, ErrorCode, ManualClock, ModelName, Shape, Tensor, TensorData};
use candor_engine_conformance::NullEngine;
use candor_serving::{
    Codec as _, Engines, InferRequest, Lease, Ran, Registry, RegistrySettings, Repository, VersionPolicy,
    oip::{
        TensorLimits,
        bytes::{read_tensor, write_tensor},
    },
};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;

use super::{InferCodec, InferMessage};
use crate::{error::code, limits::GrpcLimits, proto};

/// The messages with the one that is read by hand.
#[allow(missing_docs, dead_code, clippy::all, reason = "generated")]
mod whole {
    include!(concat!(env!("OUT_DIR"), "/whole/inference.rs"));
}

use whole::{
    InferParameter, InferTensorContents, ModelInferRequest,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};

/// Models of the null engine that give back the one input that they take, one for each datatype.
struct Versions {
    registry: Registry,
    _folder: tempfile::TempDir,
}

static VERSIONS: LazyLock<Versions> = LazyLock::new(|| {
    let folder = tempfile::TempDir::new().unwrap();
    for datatype in Datatype::ALL {
        let version = folder.path().join(datatype.name()).join("1");
        std::fs::create_dir_all(&version).unwrap();
        let spec = |side: &str, more: &str| {
            format!("[[{side}]]\nname = \"x\"\ndatatype = \"{datatype}\"\ndims = [\"rows\", -1]\n{more}")
        };
        let text = spec("inputs", "") + &spec("outputs", "echo = \"x\"\n");
        std::fs::write(version.join("model.onnx"), text).unwrap();
    }
    let settings = RegistrySettings { version_policy: VersionPolicy::All, ..RegistrySettings::default() };
    let engines = Engines::one(Arc::new(NullEngine::new()));
    let repository = Repository::open(folder.path(), 1_u64 << 20).unwrap();
    let registry = Registry::start(engines, repository, Arc::new(ManualClock::default()), settings).unwrap();
    for datatype in Datatype::ALL {
        let load = registry.load(ModelName::parse(datatype.name()).unwrap(), None).unwrap();
        load.wait_blocking().unwrap().unwrap();
    }
    Versions { registry, _folder: folder }
});

fn version(datatype: Datatype) -> Lease {
    VERSIONS.registry.lease(datatype.name(), None).unwrap()
}

fn limits() -> Arc<GrpcLimits> {
    Arc::new(GrpcLimits {
        message_bytes_max: 1 << 20,
        message_read_max: Duration::from_secs(1),
        tensors: TensorLimits { elements_max: 4096, rank_max: 8, tensors_max: 16, name_bytes_max: 64 },
        connections_max: 1,
        calls_per_connection_max: 1,
        stream_inflight_max: 1,
        stream_idle_max: Duration::from_secs(60),
        answer_read_max: Duration::from_secs(60),
        connection_idle_max: None,
        connection_age_max: None,
        connection_age_grace: Duration::from_secs(60),
        keep_alive: Duration::from_secs(1),
        keep_alive_wait: Duration::from_secs(1),
    })
}

fn decode_bytes(datatype: Datatype, bytes: Vec<u8>) -> Result<(InferCodec, InferRequest), Error> {
    let mut codec = InferCodec::new(InferMessage(bytes.into()), limits());
    let version = version(datatype);
    let request = codec.decode(&version)?;
    version.signature.check(&request.inputs, version.manifest.rules())?;
    Ok((codec, request))
}

fn decode(datatype: Datatype, request: &ModelInferRequest) -> Result<(InferCodec, InferRequest), Error> {
    decode_bytes(datatype, request.encode_to_vec())
}

fn refusal(datatype: Datatype, request: &ModelInferRequest) -> String {
    decode(datatype, request).err().expect("it was taken").to_string()
}

fn input(datatype: Datatype, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: "x".to_owned(),
        datatype: datatype.name().to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

fn raw(tensor: &Tensor) -> ModelInferRequest {
    let mut bytes = Vec::new();
    write_tensor(tensor.data(), &mut bytes);
    let inputs = vec![input(tensor.datatype(), tensor.shape().dims())];
    ModelInferRequest { inputs, raw_input_contents: vec![bytes], ..ModelInferRequest::default() }
}

fn typed(tensor: &Tensor) -> ModelInferRequest {
    let contents = Some(contents(tensor.data()));
    let inputs = vec![InferInputTensor { contents, ..input(tensor.datatype(), tensor.shape().dims()) }];
    ModelInferRequest { inputs, ..ModelInferRequest::default() }
}

fn contents(data: &TensorData) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match data {
        TensorData::Bool(values) => contents.bool_contents = values.iter().map(|value| *value != 0).collect(),
        TensorData::Int8(values) => contents.int_contents = values.iter().map(|value| i32::from(*value)).collect(),
        TensorData::Int16(values) => contents.int_contents = values.iter().map(|value| i32::from(*value)).collect(),
        TensorData::Int32(values) => contents.int_contents.clone_from(values),
        TensorData::Int64(values) => contents.int64_contents.clone_from(values),
        TensorData::Uint8(values) => contents.uint_contents = values.iter().map(|value| u32::from(*value)).collect(),
        TensorData::Uint16(values) => contents.uint_contents = values.iter().map(|value| u32::from(*value)).collect(),
        TensorData::Uint32(values) => contents.uint_contents.clone_from(values),
        TensorData::Uint64(values) => contents.uint64_contents.clone_from(values),
        TensorData::Fp32(values) => contents.fp32_contents.clone_from(values),
        TensorData::Fp64(values) => contents.fp64_contents.clone_from(values),
        TensorData::Bytes(strings) => contents.bytes_contents = strings.iter().map(<[u8]>::to_vec).collect(),
        TensorData::Fp16(_) | TensorData::Bf16(_) => {}
    }
    contents
}

/// A tensor of any datatype, of any bits that are a value of it, with `[2, n]` elements.
fn tensors() -> impl Strategy<Value = Tensor> {
    let numbers = (prop::sample::select(Datatype::ALL.to_vec()), vec(any::<u8>(), 16..=128));
    numbers.prop_map(|(datatype, mut bytes)| {
        bytes.truncate(bytes.len() / 16 * 16);
        let data = match datatype.element_bytes() {
            Some(each) => {
                if datatype == Datatype::Bool {
                    bytes.iter_mut().for_each(|byte| *byte %= 2);
                }
                let shape = Shape::new(&[2, i64::try_from(bytes.len() / each / 2).unwrap()]).unwrap();
                return read_tensor(datatype, shape, &bytes).unwrap();
            }
            None => TensorData::Bytes(bytes.chunks(8).collect::<BytesArray>()),
        };
        Tensor::new(Shape::new(&[2, i64::try_from(data.len() / 2).unwrap()]).unwrap(), data).unwrap()
    })
}

/// The bits of a tensor, so that NaN equals itself.
fn bits(tensor: &Tensor) -> (Datatype, Vec<i64>, Vec<u8>) {
    let mut bytes = Vec::new();
    write_tensor(tensor.data(), &mut bytes);
    (tensor.datatype(), tensor.shape().dims().to_vec(), bytes)
}

fn reply(codec: InferCodec, datatype: Datatype, outputs: Vec<Tensor>) -> proto::ModelInferResponse {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::default);
    let version = version(datatype);
    codec
        .encode(Ran {
            version: &version,
            fallback_from: None,
            outputs,
            nanos: Default::default(),
            laps: &[],
            batch: None,
            cache: None,
            clock: &*CLOCK,
        })
        .unwrap()
}

proptest! {
    #[test]
    fn both_forms_say_the_same_and_replies_have_the_form_of_their_request(tensor in tensors()) {
        let datatype = tensor.datatype();
        let is_half = matches!(datatype, Datatype::Fp16 | Datatype::Bf16);
        let (codec, request) = decode(datatype, &raw(&tensor)).unwrap();
        prop_assert_eq!(bits(&request.inputs[0]), bits(&tensor));
        let answer = reply(codec, datatype, request.inputs);
        prop_assert_eq!(&answer.raw_output_contents[0][..], &bits(&tensor).2[..]);
        prop_assert!(answer.outputs[0].contents.is_none());
        if is_half {
            prop_assert!(refusal(datatype, &typed(&tensor)).contains("has no field in contents"));
            return Ok(());
        }
        let (codec, request) = decode(datatype, &typed(&tensor)).unwrap();
        prop_assert_eq!(bits(&request.inputs[0]), bits(&tensor));
        let answer = reply(codec, datatype, request.inputs);
        prop_assert!(answer.raw_output_contents.is_empty());
        // Read back as a client does.
        let back = InferTensorContents::decode(answer.outputs[0].contents.clone().unwrap().encode_to_vec().as_slice());
        let again = ModelInferRequest {
            inputs: vec![InferInputTensor { contents: Some(back.unwrap()), ..input(datatype, tensor.shape().dims()) }],
            ..ModelInferRequest::default()
        };
        prop_assert_eq!(bits(&decode(datatype, &again).unwrap().1.inputs[0]), bits(&tensor));
    }

    #[test]
    fn a_damaged_request_is_read_or_refused_fairly(tensor in tensors(), damage in vec((any::<Index>(), any::<u8>()), 1..6), cut: Index, raw_form: bool) {
        let mut bytes = if raw_form { raw(&tensor) } else { typed(&tensor) }.encode_to_vec();
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if raw_form {
            bytes.truncate(cut.index(bytes.len()) + 1);
        }
        let _ = InferMessage(bytes.clone().into()).target();
        if let Err(error) = decode_bytes(tensor.datatype(), bytes) {
            let fair = [ErrorCode::InvalidInput, ErrorCode::Unsupported].contains(&error.code());
            prop_assert!(fair, "{error}");
            prop_assert!(error.to_string().len() < 5_000, "{error}");
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_fairly(bytes: Vec<u8>) {
        if let Err(error) = decode_bytes(Datatype::Fp32, bytes) {
            prop_assert_ne!(code(error.code()), tonic::Code::Internal);
        }
    }
}

fn fp32(elements: usize) -> Tensor {
    let shape = Shape::new(&[1, i64::try_from(elements).unwrap()]).unwrap();
    Tensor::new(shape, TensorData::Fp32(vec![0.5; elements])).unwrap()
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let good = || typed(&fp32(3));
    let with = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = good();
        change(&mut request);
        refusal(Datatype::Fp32, &request)
    };
    let elements = |count: usize| InferTensorContents { fp32_contents: vec![0.5; count], ..Default::default() };
    for (said, words) in [
        (
            with(&|request| request.inputs[0].name = "y".to_owned()),
            "inputs[0].name: the model has no such input; expected x, got \"y\"",
        ),
        (
            with(&|request| request.inputs[0].datatype = "F32".to_owned()),
            "input 'x' at inputs[0].datatype: there is no such datatype",
        ),
        (
            with(&|request| request.inputs[0].shape = vec![-1, 3]),
            "input 'x' at inputs[0].shape: a dimension is negative",
        ),
        (with(&|request| request.inputs[0].shape = vec![1; 9]), "at most 8 (limits.tensor_rank_max), got 9"),
        (with(&|request| request.inputs[0].shape = vec![4097]), "at most 4096 elements (limits.tensor_elements_max)"),
        (
            with(&|request| request.inputs[0].contents = Some(elements(2))),
            "input 'x' at inputs[0].contents: the number of elements does not fit the shape; expected 3 elements for shape [1, 3], got 2 elements",
        ),
        (with(&|request| request.inputs[0].contents = Some(elements(4))), "expected 3 elements, got at least 4"),
        (with(&|request| request.inputs[0].contents = None), "got 0 elements"),
        (with(&|request| request.inputs.clear()), "inputs: input 'x' is missing; expected x"),
        (
            with(&|request| request.inputs.push(request.inputs[0].clone())),
            "input 'x' at inputs[1].name: this input stands there twice",
        ),
        (
            with(&|request| request.inputs = vec![request.inputs[0].clone(); 17]),
            "inputs: there are too many tensors; expected at most 16 (limits.tensors_max)",
        ),
        (
            with(&|request| request.raw_input_contents = vec![vec![]; 17]),
            "raw_input_contents: there are too many tensors",
        ),
        (
            with(&|request| request.raw_input_contents = vec![vec![0; 12]]),
            "the input has contents, and the request has raw contents",
        ),
        (
            with(&|request| request.id = "i".repeat(65)),
            "id: this is too long; expected at most 64 bytes (limits.name_bytes_max), got 65 bytes",
        ),
        (
            with(&|request| {
                request.outputs = vec![InferRequestedOutputTensor { name: "z".to_owned(), ..Default::default() }]
            }),
            "outputs[0]: the model has no such output",
        ),
        (
            with(&|request| {
                request.outputs = vec![InferRequestedOutputTensor { name: "x".to_owned(), ..Default::default() }; 2]
            }),
            "outputs[1]: output 'x' stands there twice",
        ),
    ] {
        assert!(said.contains(words), "{said}\nlacks: {words}");
    }
}

#[test]
fn elements_stand_in_the_field_of_their_datatype_and_within_its_range() {
    let mut request = typed(&fp32(1));
    request.inputs[0].contents = Some(InferTensorContents { fp64_contents: vec![0.5], ..Default::default() });
    let said = refusal(Datatype::Fp32, &request);
    assert!(said.contains("expected contents.fp32_contents, got contents.fp64_contents"), "{said}");
    for (datatype, contents, words) in [
        (
            Datatype::Int8,
            InferTensorContents { int_contents: vec![-129], ..Default::default() },
            "element 0 is out of range for INT8; got -129",
        ),
        (
            Datatype::Uint16,
            InferTensorContents { uint_contents: vec![65_536], ..Default::default() },
            "element 0 is out of range for UINT16; got 65536",
        ),
    ] {
        let inputs = vec![InferInputTensor { contents: Some(contents), ..input(datatype, &[1, 1]) }];
        let said = refusal(datatype, &ModelInferRequest { inputs, ..Default::default() });
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn numbers_may_stand_alone_or_packed_and_contents_in_pieces() {
    // inputs { name: "x" datatype: "INT64" shape: 1 shape: 2 contents { 5 } contents { 7 } }, none of it packed.
    let contents = |value: u8| [0x2a, 0x02, 0x18, value];
    let input =
        [&[0x0a, 0x01, b'x', 0x12, 0x05][..], b"INT64", &[0x18, 1, 0x18, 2], &contents(5), &contents(7)].concat();
    let message = [&[0x2a, u8::try_from(input.len()).unwrap()][..], &input].concat();
    let (_, request) = decode_bytes(Datatype::Int64, message).unwrap();
    assert_eq!(request.inputs[0].data(), &TensorData::Int64(vec![5, 7]));
}

#[test]
fn parameters_that_mean_something_are_read() {
    let parameter = |choice| InferParameter { parameter_choice: Some(choice) };
    let with = |key: &str, choice: ParameterChoice| ModelInferRequest {
        parameters: HashMap::from([(key.to_owned(), parameter(choice))]),
        ..typed(&fp32(2))
    };
    let timeout = |choice| decode(Datatype::Fp32, &with("timeout", choice)).map(|(_, request)| request.timeout);
    assert_eq!(timeout(ParameterChoice::Int64Param(1500)).unwrap(), Some(Duration::from_micros(1500)));
    assert_eq!(timeout(ParameterChoice::Uint64Param(7)).unwrap(), Some(Duration::from_micros(7)));
    assert_eq!(timeout(ParameterChoice::Int64Param(0)).unwrap(), None);
    for wrong in [ParameterChoice::Int64Param(-1), ParameterChoice::StringParam("5".to_owned())] {
        let said = timeout(wrong).unwrap_err().to_string();
        assert!(said.contains("parameters[\"timeout\"]: the parameter has the wrong type"), "{said}");
    }
    for (key, choice) in [
        ("priority", ParameterChoice::Uint64Param(3)),
        ("sequence_id", ParameterChoice::StringParam("a".to_owned())),
        ("anything", ParameterChoice::DoubleParam(0.5)),
        ("flag", ParameterChoice::BoolParam(true)),
    ] {
        assert!(decode(Datatype::Fp32, &with(key, choice)).is_ok(), "{key}");
    }
    let long = with("x", ParameterChoice::StringParam("x".repeat(65)));
    assert!(refusal(Datatype::Fp32, &long).contains("limits.name_bytes_max"));
    let mut shared = typed(&fp32(2));
    let region = parameter(ParameterChoice::StringParam("a".to_owned()));
    shared.inputs[0].parameters = HashMap::from([("shared_memory_region".to_owned(), region)]);
    let error = decode(Datatype::Fp32, &shared).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unsupported);
}

#[test]
fn an_answer_that_another_version_gave_says_so() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::default);
    let (codec, request) = decode(Datatype::Fp32, &raw(&fp32(3))).unwrap();
    let (version, asked) = (version(Datatype::Fp32), candor_domain::Version::parse("2").unwrap());
    let fallback_from = Some(&asked);
    let ran = Ran {
        version: &version,
        fallback_from,
        outputs: request.inputs,
        nanos: Default::default(),
        laps: &[],
        batch: None,
        cache: None,
        clock: &*CLOCK,
    };
    let answer = codec.encode(ran).unwrap();
    let from = answer.parameters["candor_fallback_from"].parameter_choice.clone();
    assert_eq!(from, Some(proto::infer_parameter::ParameterChoice::StringParam("2".to_owned())));
}

#[test]
fn a_request_says_whom_it_is_for_before_it_is_read() {
    let request = ModelInferRequest {
        model_name: "iris".to_owned(),
        model_version: "2".to_owned(),
        id: "seven".to_owned(),
        ..raw(&fp32(5))
    };
    let message = InferMessage(request.encode_to_vec().into());
    let target = message.target().unwrap();
    assert_eq!((target.model, target.version, target.id), ("iris", Some("2"), "seven"));
    let nobody = InferMessage(raw(&fp32(5)).encode_to_vec().into());
    assert_eq!(nobody.target().unwrap(), super::request::Target::default());
}
