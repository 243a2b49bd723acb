//! Components of a test: what plugins do, without plugins.

use std::sync::{Mutex, PoisonError};

use candor_domain::{
    BytesArray, Component, ComponentCall, ComponentOrigin, ComponentRequest, Components, Datatype, Dim, Error,
    ErrorCode, OpenComponent, Result, Shape, Signature, Tensor, TensorData, TensorSpec,
};
use std::sync::Arc;

/// Opens components by name, and remembers what it was asked.
#[derive(Default)]
pub struct Fake {
    pub asked: Mutex<Vec<String>>,
    /// sha256 of the library that all of them come from.
    pub library: Arc<Mutex<String>>,
    /// Where the tensors lay that were seen.
    pub seen: Arc<Mutex<Vec<usize>>>,
}

type Body = Box<dyn Fn(&[(&str, &Tensor)], &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> + Send + Sync>;

/// What it does, what it tells, whether it is quick.
type Opened = (Body, Option<Signature>, bool);

struct Made {
    body: Body,
    library: Arc<Mutex<String>>,
}

impl Component for Made {
    fn run(&self, inputs: &[(&str, &Tensor)], call: &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> {
        (self.body)(inputs, call)
    }

    fn origin(&self) -> ComponentOrigin {
        let sha256 = self.library.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ComponentOrigin { plugin: "test".into(), version: "1.0.0".into(), sha256: Some(sha256) }
    }
}

pub fn spec(name: &str, datatype: Datatype, dims: &[i64]) -> TensorSpec {
    let dim = |&size: &i64| if size < 0 { Dim::Any(None) } else { Dim::Fixed(size) };
    TensorSpec { name: name.into(), datatype, dims: Some(dims.iter().map(dim).collect()) }
}

pub fn int64(dims: &[i64], values: Vec<i64>) -> Tensor {
    Tensor::new(Shape::new(dims).unwrap(), TensorData::Int64(values)).unwrap()
}

pub fn fp32(dims: &[i64], values: Vec<f32>) -> Tensor {
    Tensor::new(Shape::new(dims).unwrap(), TensorData::Fp32(values)).unwrap()
}

pub fn texts(values: &[&str]) -> Tensor {
    let array: BytesArray = values.iter().collect();
    Tensor::new(Shape::new(&[values.len() as i64]).unwrap(), TensorData::Bytes(array)).unwrap()
}

pub fn longs(tensor: &Tensor) -> Vec<i64> {
    let TensorData::Int64(values) = tensor.data() else { panic!("not INT64: {tensor:?}") };
    values.clone()
}

pub fn floats(tensor: &Tensor) -> Vec<f32> {
    let TensorData::Fp32(values) = tensor.data() else { panic!("not FP32: {tensor:?}") };
    values.clone()
}

/// Where a tensor's elements lie.
pub fn address(tensor: &Tensor) -> usize {
    let TensorData::Fp32(values) = tensor.data() else { panic!("not FP32: {tensor:?}") };
    values.as_ptr().addr()
}

fn named<'a>(inputs: &[(&str, &'a Tensor)], name: &str) -> &'a Tensor {
    inputs.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// Lengths of words, padded to the longest text; 1 in the mask where there is a word.
fn words(tensor: &Tensor) -> Result<(Tensor, Tensor)> {
    let TensorData::Bytes(texts) = tensor.data() else { panic!("not BYTES") };
    let rows: Vec<Vec<i64>> = texts
        .iter()
        .map(|text| std::str::from_utf8(text).unwrap().split(' ').map(|word| word.len() as i64).collect())
        .collect();
    if rows.iter().any(|row| row.contains(&0)) {
        return Err(Error::invalid("a text has an empty word").at("text"));
    }
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let padded = |fill: fn(i64) -> i64| -> Vec<i64> {
        rows.iter().flat_map(|row| (0..width).map(move |at| row.get(at).map_or(0, |&n| fill(n)))).collect()
    };
    let dims = [rows.len() as i64, width as i64];
    Ok((int64(&dims, padded(|n| n)), int64(&dims, padded(|_| 1))))
}

impl Fake {
    fn body(&self, request: &ComponentRequest<'_>) -> Result<Opened> {
        let config: serde_json::Value = serde_json::from_str(request.config_json).unwrap();
        let seen = Arc::clone(&self.seen);
        let factor = config.get("factor").and_then(serde_json::Value::as_f64).unwrap_or(1.0) as f32;
        let any = [-1, -1];
        let scaled = move |inputs: &[(&str, &Tensor)]| {
            let x = named(inputs, "x");
            seen.lock().unwrap().push(address(x));
            let y = fp32(x.shape().dims(), floats(x).iter().map(|x| x * factor).collect());
            seen.lock().unwrap().push(address(&y));
            vec![("y".to_owned(), y)]
        };
        let scale =
            Signature { inputs: vec![spec("x", Datatype::Fp32, &any)], outputs: vec![spec("y", Datatype::Fp32, &any)] };
        Ok(match request.id {
            "t.words" | "t.pool" => texts_to_numbers(request, &config)?,
            "t.scale" => (Box::new(move |inputs, _| Ok(scaled(inputs))), Some(scale), true),
            "t.slow" => (Box::new(move |inputs, _| Ok(scaled(inputs))), Some(scale), false),
            "t.silent" => (Box::new(move |inputs, _| Ok(scaled(inputs))), None, true),
            "t.stack" => {
                let inputs = ["y_0", "y_1", "y_2", "x"].map(|name| spec(name, Datatype::Fp32, &any)).to_vec();
                (Box::new(|inputs, _| vote(inputs)), Some(Signature { inputs, outputs: scale.outputs }), true)
            }
            "t.vote" => (Box::new(|inputs, _| vote(inputs)), None, true),
            "t.calls" | "t.cancels" | "t.fails" | "t.lies" => odd(request.id, &config, scale),
            other => {
                return Err(Error::new(ErrorCode::NotFound, format!("there is no component '{other}'"))
                    .expected("t.words, t.pool, t.scale"));
            }
        })
    }
}

/// Components that make ids of texts, and one number of many.
fn texts_to_numbers(request: &ComponentRequest<'_>, config: &serde_json::Value) -> Result<Opened> {
    let any = [-1, -1];
    Ok(match request.id {
        "t.words" => {
            if let Some(file) = config.get("file").and_then(serde_json::Value::as_str) {
                request.files.read(file)?;
            }
            let body = |inputs: &[(&str, &Tensor)], _: &ComponentCall<'_>| {
                let (ids, mask) = words(named(inputs, "text"))?;
                Ok(vec![("ids".to_owned(), ids), ("mask".to_owned(), mask)])
            };
            let told = Signature {
                inputs: vec![spec("text", Datatype::Bytes, &[-1])],
                outputs: vec![spec("ids", Datatype::Int64, &any), spec("mask", Datatype::Int64, &any)],
            };
            (Box::new(body), Some(told), true)
        }
        _ => {
            let body = |inputs: &[(&str, &Tensor)], _: &ComponentCall<'_>| {
                let (hidden, mask) = (named(inputs, "hidden"), named(inputs, "mask"));
                let width = hidden.shape().dims()[1] as usize;
                let products: Vec<i64> =
                    longs(hidden).iter().zip(longs(mask)).map(|(hidden, mask)| hidden * mask).collect();
                let sums = products.chunks(width).map(|row| row.iter().sum()).collect();
                Ok(vec![("sum".to_owned(), int64(&hidden.shape().dims()[..1], sums))])
            };
            let told = Signature {
                inputs: vec![spec("hidden", Datatype::Int64, &any), spec("mask", Datatype::Int64, &any)],
                outputs: vec![spec("sum", Datatype::Int64, &[-1])],
            };
            (Box::new(body), Some(told), true)
        }
    })
}

/// Components that do something else than transform.
fn odd(id: &str, config: &serde_json::Value, scale: Signature) -> Opened {
    match id {
        "t.calls" => {
            let model = config.get("model").and_then(serde_json::Value::as_str).unwrap().to_owned();
            let body = move |inputs: &[(&str, &Tensor)], call: &ComponentCall<'_>| {
                let models = call.models.ok_or_else(|| Error::new(ErrorCode::Unsupported, "no models"))?;
                let given = [("x".to_owned(), named(inputs, "x").clone())];
                let (_, answer) = models.call(&model, &given)?.remove(0);
                Ok(vec![("y".to_owned(), answer)])
            };
            (Box::new(body), Some(scale), false)
        }
        "t.cancels" => {
            let body = |_: &[(&str, &Tensor)], call: &ComponentCall<'_>| {
                call.cancel.unwrap().cancel();
                Ok(vec![("y".to_owned(), fp32(&[1, 1], vec![0.0]))])
            };
            (Box::new(body), Some(scale), false)
        }
        "t.fails" => {
            let code = match config.get("code").and_then(serde_json::Value::as_str).unwrap() {
                "invalid" => ErrorCode::InvalidInput,
                "not_ready" => ErrorCode::NotReady,
                "panic" => {
                    let body: Body = Box::new(|_, _| panic!("a component panicked on purpose"));
                    return (body, Some(scale), true);
                }
                _ => ErrorCode::EngineFailed,
            };
            (Box::new(move |_, _| Err(Error::new(code, "it did not work"))), Some(scale), true)
        }
        _ => {
            let how = config.get("how").and_then(serde_json::Value::as_str).unwrap().to_owned();
            let body = move |_: &[(&str, &Tensor)], _: &ComponentCall<'_>| {
                Ok(match &*how {
                    "rows" => vec![("y".to_owned(), fp32(&[7, 1], vec![0.0; 7]))],
                    "rank" => vec![("y".to_owned(), fp32(&[1], vec![0.0]))],
                    "datatype" => vec![("y".to_owned(), int64(&[1, 1], vec![0]))],
                    _ => Vec::new(),
                })
            };
            (Box::new(body), Some(scale), true)
        }
    }
}

/// The mean of all answers.
fn vote(inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
    let first = named(inputs, "y_0");
    let mut sums = vec![0.0; floats(first).len()];
    for (_, tensor) in inputs {
        sums.iter_mut().zip(floats(tensor)).for_each(|(sum, value)| *sum += value);
    }
    let count = inputs.len() as f32;
    let mean = fp32(first.shape().dims(), sums.into_iter().map(|sum| sum / count).collect());
    Ok(vec![("y".to_owned(), mean)])
}

impl Components for Fake {
    fn open(&self, request: ComponentRequest<'_>) -> Result<OpenComponent> {
        let given: Vec<String> = request.given.iter().map(|spec| spec.name.to_string()).collect();
        self.asked.lock().unwrap().push(format!("{} {} ({})", request.kind, request.id, given.join(", ")));
        let (body, signature, inline) = self.body(&request)?;
        let component = Arc::new(Made { body, library: Arc::clone(&self.library) });
        Ok(OpenComponent { component, signature, inline, deterministic: true })
    }
}
