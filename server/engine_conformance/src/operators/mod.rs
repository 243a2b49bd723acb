//! The operator tests of the ONNX project, on any engine: which pass, which are refused, which go wrong.
//!
//! The `onnx` package ships a folder for each test: a model, inputs and the outputs of the reference
//! implementation. [`run`] takes an engine through all of them; [`hold`] also compares the outcome with the
//! lists that are committed, so that what passes can only become more. Does not fetch the data:
//! `cargo xtask operators` does.
//!
//! | module | what it does |
//! |---|---|
//! | `data` | finds the folder, lists its tests, reads one |
//! | `tensors` | a tensor of a file as one of Candor's |
//! | `compare` | how near an answer must be |
//! | `lists` | `operators/*.txt`: what is known to pass, and what is known to be wrong and why |

mod compare;
mod data;
mod lists;
mod tensors;

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

use candor_domain::{Engine, ErrorCode, LoadedModel, ModelSource, RequestRules, Tensor};

pub use compare::Tolerance;
pub use data::folder;
use data::{Case, Pair};
pub use lists::hold;

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every output is right.
    Passed,
    /// The engine would not load the model: the reason it gave.
    Refused(String),
    /// The test is about values that are no tensors, or of a datatype that the protocol does not have.
    Inexpressible(String),
    /// The engine loaded the model and then gave no answer: an error, a panic or too much time.
    Failed(String),
    /// The engine gave an answer that is not right.
    Wrong(String),
}

impl Outcome {
    /// The outcome in one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused(_) => "refused",
            Self::Inexpressible(_) => "inexpressible",
            Self::Failed(_) => "failed",
            Self::Wrong(_) => "wrong",
        }
    }

    /// Why it did not pass.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Refused(why) | Self::Inexpressible(why) | Self::Failed(why) | Self::Wrong(why) => why,
        }
    }
}

/// The operators that a test's model uses, and what became of the test.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Names with their domain, such as `Abs` and `ai.onnx.ml.Scaler`; none when the model cannot be read.
    pub operators: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of all tests, by name, such as `node/test_abs`.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of their names.
    pub findings: BTreeMap<String, Finding>,
}

impl Report {
    /// Names of the tests with this outcome.
    pub fn names<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.findings.iter().filter(move |(_, found)| found.outcome.word() == word).map(|(name, _)| &**name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = ["passed", "refused", "inexpressible", "failed", "wrong"];
        let counts = words.map(|word| format!("{} {word}", self.names(word).count()));
        f.write_str(&counts.join(", "))
    }
}

/// Longer than any of these tests takes, on a machine that does much else.
const TEST_TIME_MAX: Duration = Duration::from_secs(120);

/// Takes `engine` through every test below `folder`. Each runs in a thread of its own, so that neither a
/// panic nor an endless loop ends the others.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(engine: &Arc<dyn Engine>, folder: &Path) -> Result<Report, String> {
    let mut report = Report::default();
    for name in data::names(folder)? {
        let (tell, told) = channel();
        let (its_engine, its_folder) = (Arc::clone(engine), folder.join(&name));
        let work = move || {
            let _ = tell.send(finding(&*its_engine, &its_folder));
        };
        let started = thread::Builder::new().name(name.clone()).spawn(work);
        started.map_err(|error| format!("no thread for {name}: {error}"))?;
        let found = told.recv_timeout(TEST_TIME_MAX).unwrap_or_else(|error| {
            let why = match error {
                std::sync::mpsc::RecvTimeoutError::Timeout => format!("not done in {} s", TEST_TIME_MAX.as_secs()),
                std::sync::mpsc::RecvTimeoutError::Disconnected => "it panicked".to_owned(),
            };
            Finding { operators: Vec::new(), outcome: Outcome::Failed(why) }
        });
        report.findings.insert(name, found);
    }
    Ok(report)
}

fn finding(engine: &dyn Engine, folder: &Path) -> Finding {
    match Case::read(folder) {
        Ok(case) => Finding { outcome: outcome(engine, &case), operators: case.operators },
        Err(why) => Finding { operators: Vec::new(), outcome: Outcome::Inexpressible(why) },
    }
}

fn outcome(engine: &dyn Engine, case: &Case) -> Outcome {
    let pairs = match &case.pairs {
        Ok(pairs) => pairs,
        Err(why) => return Outcome::Inexpressible(why.clone()),
    };
    let loaded = match engine.load(ModelSource { bytes: &case.model, folder: &case.folder }) {
        Ok(loaded) => loaded,
        Err(error) => {
            let refused = matches!(error.code(), ErrorCode::InvalidModel | ErrorCode::Unsupported);
            return if refused { Outcome::Refused(error.to_string()) } else { Outcome::Failed(error.to_string()) };
        }
    };
    let tolerance = if case.is_classical() { Tolerance::CLASSICAL } else { Tolerance::ONNX };
    for (at, pair) in pairs.iter().enumerate() {
        let got = match answer(&loaded, pair) {
            Ok(got) => got,
            Err(why) => return Outcome::Failed(format!("data set {at}: {why}")),
        };
        for ((name, want), got) in pair.outputs.iter().zip(&got) {
            if let Err(why) = tolerance.check(want, got) {
                return Outcome::Wrong(format!("data set {at}, output '{name}': {why}"));
            }
        }
    }
    Outcome::Passed
}

/// Tests have empty tensors too, which a server lets through only where a model says so.
const RULES: RequestRules = RequestRules { batch_rows_max: None, empty_tensors: true };

/// Outputs in the order of the pair's.
fn answer(loaded: &LoadedModel, pair: &Pair) -> Result<Vec<Tensor>, String> {
    let signature = &loaded.signature;
    let given = |name: &str| pair.inputs.iter().find(|(given, _)| given == name).map(|(_, tensor)| tensor.clone());
    let inputs = signature.inputs.iter().map(|spec| given(&spec.name).ok_or(&spec.name));
    let inputs: Vec<Tensor> =
        inputs.collect::<Result<_, _>>().map_err(|name| format!("the test has no input '{name}'"))?;
    let place = |name: &str| signature.output_index(name).ok_or_else(|| format!("the engine has no output '{name}'"));
    let wanted: Vec<usize> = pair.outputs.iter().map(|(name, _)| place(name)).collect::<Result<_, _>>()?;
    signature.check(&inputs, RULES).map_err(|error| format!("the signature refuses the inputs: {error}"))?;
    let got = loaded.session.run(&inputs, &wanted, None).map_err(|error| error.to_string())?;
    if got.len() == wanted.len() { Ok(got) } else { Err(format!("{} outputs, wanted {}", got.len(), wanted.len())) }
}
