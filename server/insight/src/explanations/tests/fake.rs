//! A version that is a formula, and components that follow the contract of explainers or break it.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use candor_domain::{
    Component, ComponentCall, ComponentOrigin, ComponentRequest, Components, Datatype, Dim, Error, ErrorCode,
    ManualClock, ModelFiles, OpenComponent, Result, Shape, Signature, Tensor, TensorData, TensorSpec,
};

use super::super::*;

pub fn tensor(dims: &[i64], data: TensorData) -> Tensor {
    Tensor::new(Shape::new(dims).unwrap(), data).unwrap()
}

pub fn fp32(columns: usize, values: &[f32]) -> Tensor {
    tensor(&[(values.len() / columns) as i64, columns as i64], TensorData::Fp32(values.to_vec()))
}

pub fn floats(tensor: &Tensor) -> Vec<f64> {
    if let TensorData::Fp64(values) = tensor.data() {
        return values.clone();
    }
    let TensorData::Int64(values) = tensor.data() else { panic!("not numbers: {:?}", tensor.data()) };
    values.iter().map(|value| *value as f64).collect()
}

struct Files(Mutex<Vec<(String, Vec<u8>)>>);

impl ModelFiles for Files {
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let files = self.0.lock().unwrap();
        let found = files.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.clone());
        found.ok_or_else(|| Error::new(ErrorCode::NotFound, format!("no file {name}")))
    }
}

/// margin = 2a − 3b + c − 1, probabilities of [no, yes]; one input of three columns.
pub struct Linear {
    pub about: About,
    files: Arc<Files>,
    pub golden: Vec<Vec<Tensor>>,
    pub life: Arc<()>,
    pub runs: AtomicUsize,
    pub rows: AtomicUsize,
}

pub const WEIGHTS: [f64; 3] = [2.0, -3.0, 1.0];

pub fn margin(row: &[f64]) -> f64 {
    row.iter().zip(WEIGHTS).map(|(x, w)| x * w).sum::<f64>() - 1.0
}

fn feature(name: &str, column: usize) -> FeatureNote {
    FeatureNote {
        name: name.into(),
        input: 0,
        place: Placed::Column(column),
        datatype: Datatype::Fp32,
        categories: Vec::new(),
        group: None,
        immutable: false,
        min: None,
        max: None,
    }
}

pub fn spec(name: &str, datatype: Datatype, dims: &[i64]) -> TensorSpec {
    let dim = |&size: &i64| if size < 0 { Dim::Any(None) } else { Dim::Fixed(size) };
    TensorSpec { name: name.into(), datatype, dims: Some(dims.iter().map(dim).collect()) }
}

impl Linear {
    pub fn new() -> Self {
        let output = |name: &str, datatype, role, labels: &[&str]| OutputNote {
            name: name.into(),
            datatype,
            role,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        };
        let about = About {
            model: "m".into(),
            version: "1".into(),
            sha256: "ab".into(),
            engine: EngineNote { name: "fake".into(), version: "1".into(), sha256: None },
            signature: Signature {
                inputs: vec![spec("x", Datatype::Fp32, &[-1, 3])],
                outputs: vec![spec("label", Datatype::Int64, &[-1]), spec("probabilities", Datatype::Fp32, &[-1, 2])],
            },
            features: vec![feature("a", 0), feature("b", 1), feature("c", 2)],
            outputs: vec![
                output("label", Datatype::Int64, Role::Label, &[]),
                output("probabilities", Datatype::Fp32, Role::Probabilities, &["no", "yes"]),
            ],
            rows_at_once: RowsAtOnce::Any(None),
            graph: None,
            background: None,
        };
        let golden = vec![vec![fp32(3, &[0.0, 0.0, 0.0])], vec![fp32(3, &[1.0, 0.5, 0.0, -1.0, 0.5, 2.0])]];
        Self {
            about,
            files: Arc::new(Files(Mutex::default())),
            golden,
            life: Arc::default(),
            runs: AtomicUsize::new(0),
            rows: AtomicUsize::new(0),
        }
    }

    pub fn with_file(self, name: &str, bytes: &[u8]) -> Self {
        self.files.0.lock().unwrap().push((name.to_owned(), bytes.to_vec()));
        self
    }
}

impl Subject for Linear {
    fn about(&self) -> &About {
        &self.about
    }

    fn run(&self, inputs: Vec<Tensor>, wanted: &[usize], _turn: &Turn<'_>) -> Result<Vec<Tensor>> {
        let TensorData::Fp32(x) = inputs[0].data() else { panic!("not FP32") };
        let rows = x.len() / 3;
        self.runs.fetch_add(1, SeqCst);
        self.rows.fetch_add(rows, SeqCst);
        let yes: Vec<f64> = x
            .chunks(3)
            .map(|row| 1.0 / (1.0 + (-margin(&row.iter().map(|x| f64::from(*x)).collect::<Vec<_>>())).exp()))
            .collect();
        let label = tensor(&[rows as i64], TensorData::Int64(yes.iter().map(|p| i64::from(*p > 0.5)).collect()));
        let both = yes.iter().flat_map(|p| [(1.0 - p) as f32, *p as f32]).collect();
        let all = [label, tensor(&[rows as i64, 2], TensorData::Fp32(both))];
        Ok(wanted.iter().map(|at| all[*at].clone()).collect())
    }

    fn files(&self) -> Arc<dyn ModelFiles> {
        Arc::clone(&self.files) as _
    }

    fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.life)
    }

    fn read_table(&self, _name: &str, bytes: &[u8]) -> Result<Vec<Tensor>> {
        let numbers: std::result::Result<Vec<f32>, _> =
            std::str::from_utf8(bytes).unwrap().split_whitespace().map(str::parse).collect();
        numbers.map(|numbers| vec![fp32(3, &numbers)]).map_err(|_| Error::invalid("no numbers").at("line 1"))
    }

    fn golden(&self) -> Result<Vec<Vec<Tensor>>> {
        Ok(self.golden.clone())
    }
}

type Body = Arc<dyn Fn(&[(&str, &Tensor)], &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> + Send + Sync>;

/// Components by name; those that are not there are not found.
#[derive(Default)]
pub struct Fakes {
    pub bodies: Mutex<Vec<(String, Body)>>,
    /// Refusals by name.
    pub refusals: Mutex<Vec<(String, Error)>>,
    /// Name and configuration of everything that was opened.
    pub opened: Mutex<Vec<(String, String)>>,
}

impl Fakes {
    pub fn with(
        self,
        id: &str,
        body: impl Fn(&[(&str, &Tensor)], &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> + Send + Sync + 'static,
    ) -> Self {
        self.bodies.lock().unwrap().push((id.to_owned(), Arc::new(body)));
        self
    }

    pub fn refusing(self, id: &str, error: Error) -> Self {
        self.refusals.lock().unwrap().push((id.to_owned(), error));
        self
    }
}

struct Made(Body);

impl Component for Made {
    fn run(&self, inputs: &[(&str, &Tensor)], call: &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> {
        (self.0)(inputs, call)
    }

    fn origin(&self) -> ComponentOrigin {
        ComponentOrigin { plugin: "test".into(), version: "1.0.0".into(), sha256: None }
    }
}

impl Components for Fakes {
    fn open(&self, wanted: ComponentRequest<'_>) -> Result<OpenComponent> {
        self.opened.lock().unwrap().push((wanted.id.to_owned(), wanted.config_json.to_owned()));
        if let Some((_, error)) = self.refusals.lock().unwrap().iter().find(|(id, _)| id == wanted.id) {
            return Err(error.clone());
        }
        let bodies = self.bodies.lock().unwrap();
        let body = bodies.iter().find(|(id, _)| id == wanted.id).map(|(_, body)| Arc::clone(body));
        let body = body.ok_or_else(|| Error::new(ErrorCode::NotFound, format!("no plugin offers {}", wanted.id)))?;
        Ok(OpenComponent { component: Arc::new(Made(body)), signature: None, inline: false, deterministic: true })
    }
}

pub fn given<'a>(inputs: &[(&str, &'a Tensor)], name: &str) -> Option<&'a Tensor> {
    inputs.iter().find(|(known, _)| *known == name).map(|(_, tensor)| *tensor)
}

pub fn column(values: Vec<f64>, dims: &[i64]) -> Tensor {
    tensor(dims, TensorData::Fp64(values))
}

/// Shares of a linear function, exactly: each feature's distance from the mean of the background, by asking the model
/// for the function at the corners (which holds for functions that are linear where they are asked).
pub fn exact(inputs: &[(&str, &Tensor)], call: &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>> {
    let (x, background) = (given(inputs, "x").unwrap(), given(inputs, "background").unwrap());
    let width = x.shape().dims()[1] as usize;
    let (x, background) = (floats(x), floats(background));
    let weights = given(inputs, "weights").map(floats);
    let rows = background.len() / width;
    let weight = |row: usize| weights.as_ref().map_or(1.0 / rows as f64, |weights| weights[row]);
    let ask = |row: &[f64]| -> Result<Vec<f64>> {
        let question = [("x".to_owned(), column(row.to_vec(), &[1, width as i64]))];
        call.models.unwrap().call("", &question).map(|answer| floats(&answer[0].1))
    };
    let groups = given(inputs, "groups").map(floats);
    let player = |feature: usize| groups.as_ref().map_or(feature, |groups| groups[feature] as usize);
    let players = (0..width).map(player).max().unwrap() + 1;
    let (mut shares, mut base, mut output) = (Vec::new(), Vec::new(), Vec::new());
    for row in x.chunks(width) {
        let own = ask(row)?;
        let k = own.len();
        let mut mean = vec![0.0; k];
        let mut of_row = vec![0.0; players * k];
        for at in 0..rows {
            let other = &background[at * width..(at + 1) * width];
            ask(other)?.iter().zip(&mut mean).for_each(|(value, mean)| *mean += weight(at) * value);
            // One after the other: in a linear function the order does not matter.
            let mut mixed = other.to_vec();
            let mut before = ask(&mixed)?;
            for feature in 0..width {
                mixed[feature] = row[feature];
                let after = ask(&mixed)?;
                for output in 0..k {
                    of_row[player(feature) * k + output] += weight(at) * (after[output] - before[output]);
                }
                before = after;
            }
        }
        shares.extend(of_row);
        base.extend(mean);
        output.extend(own);
    }
    let n = (x.len() / width) as i64;
    let k = base.len() as i64 / n;
    Ok(vec![
        ("attributions".into(), column(shares, &[n, players as i64, k])),
        ("base".into(), column(base, &[n, k])),
        ("output".into(), column(output, &[n, k])),
    ])
}

pub struct Scene {
    pub explanations: Arc<Explanations>,
    pub clock: Arc<ManualClock>,
    pub components: Arc<Fakes>,
}

impl Scene {
    pub fn new(components: Fakes) -> Self {
        Self::with(components, ExplanationSettings::default())
    }

    pub fn with(components: Fakes, settings: ExplanationSettings) -> Self {
        let (components, clock) = (Arc::new(components), Arc::new(ManualClock::default()));
        let own = Arc::clone(&components) as Arc<dyn Components>;
        let explanations = Explanations::start(own, Arc::clone(&clock) as _, settings).unwrap();
        Self { explanations: Arc::new(explanations), clock, components }
    }

    /// Explains on this thread.
    pub fn here(&self, subject: &Linear, question: &Question, x: &[f32]) -> Result<Explanation> {
        let cancel = Cancel::default();
        let turn = Turn { clock: &*self.clock, cancel: &cancel, deadline: Tick(u64::MAX) };
        self.explanations.explain_here(subject, question, Rows::new(vec![fp32(3, x)]), &turn)
    }
}

pub fn ask(method: Method) -> Question {
    Question { method, ..Question::default() }
}
