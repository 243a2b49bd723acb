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

mod compare;
mod data;
mod tensors;

use std::{path::Path, sync::Arc};

use candor_domain::{Engine, LoadedModel, ModelSource, RequestRules, Tensor};

use crate::{
    lists,
    outcome::{Finding, Outcome, Report, guarded},
};
pub use compare::Tolerance;
pub use data::folder;
use data::{Case, Pair};

/// Takes `engine` through every test below `folder`. Each runs in a thread of its own, so that neither a
/// panic nor an endless loop ends the others.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(engine: &Arc<dyn Engine>, folder: &Path) -> Result<Report, String> {
    let mut report = Report::default();
    for name in data::names(folder)? {
        let finding = match Case::read(&folder.join(&name)) {
            Ok(case) => {
                let (operators, its_engine) = (case.operators.clone(), Arc::clone(engine));
                Finding { operators, outcome: guarded(&name, move || outcome(&*its_engine, &case)) }
            }
            Err(why) => Finding { operators: Vec::new(), outcome: Outcome::Inexpressible(why) },
        };
        report.findings.insert(name, finding);
    }
    Ok(report)
}

/// Runs all tests on an engine and holds the outcome against `operators/<engine>.txt` and
/// `operators/<engine>_wrong.txt`.
///
/// # Errors
/// When the data are missing, or everything in which outcome and lists differ.
pub fn hold(engine: &Arc<dyn Engine>) -> Result<Report, String> {
    let report = run(engine, &data::folder()?)?;
    lists::OPERATORS.hold(engine.info().name, report)
}

fn outcome(engine: &dyn Engine, case: &Case) -> Outcome {
    let pairs = match &case.pairs {
        Ok(pairs) => pairs,
        Err(why) => return Outcome::Inexpressible(why.clone()),
    };
    let loaded = match engine.load(ModelSource { bytes: &case.model, folder: &case.folder }) {
        Ok(loaded) => loaded,
        Err(error) => return Outcome::of_load(&error),
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
pub(crate) const RULES: RequestRules = RequestRules { batch_rows_max: None, empty_tensors: true };

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
