//! Small exports of classical models (`tests/zoo`) on any engine, and on two engines against each other.
//!
//! [`hold`] compares an engine's answers with those of the library that trained each model, and the outcome
//! with the committed lists. [`hold_against`] draws many rows, most of them unkind, and compares two engines.
//!
//! | module | what it does |
//! |---|---|
//! | `file` | `tests/zoo/zoo.json`: models, their operators, rows and answers |
//! | `rows` | random rows, rows on thresholds and their neighbours, special numbers, unknown strings |
//! | `versus` | runs two engines on the same rows and counts where they differ |

mod file;
mod rows;
mod versus;

use std::{fmt::Write as _, path::Path, sync::Arc, thread};

use candor_domain::{Engine, ModelSource};

use crate::{
    lists,
    operators::{RULES, Tolerance},
    outcome::{Finding, Outcome, Report, guarded},
};
use file::Model;
pub use versus::{Differences, compare};

/// Runs every model on the rows that its library has answered, and holds the outcome against `zoo/<engine>.txt`
/// and `zoo/<engine>_not.txt`.
///
/// # Errors
/// Everything in which outcome and lists differ.
pub fn hold(engine: &Arc<dyn Engine>) -> Result<Report, String> {
    let mut report = Report::default();
    for model in file::read()? {
        let (name, operators, its_engine) = (model.name.clone(), model.operators.clone(), Arc::clone(engine));
        let outcome = guarded(&name, move || outcome(&*its_engine, &model));
        report.findings.insert(name, Finding { operators, outcome });
    }
    lists::ZOO.hold(engine.info().name, report)
}

fn outcome(engine: &dyn Engine, model: &Model) -> Outcome {
    let loaded = match engine.load(ModelSource { bytes: &model.bytes, folder: Path::new(".") }) {
        Ok(loaded) => loaded,
        Err(error) => return Outcome::of_load(&error),
    };
    let signature = &loaded.signature;
    let run = || -> Result<(), Outcome> {
        let failed = |why: String| Outcome::Failed(why);
        let find = |name: &str| model.inputs.iter().find(|(given, _)| given == name).map(|(_, tensor)| tensor.clone());
        let inputs = signature.inputs.iter().map(|spec| find(&spec.name).ok_or(&spec.name));
        let inputs: Vec<_> =
            inputs.collect::<Result<_, _>>().map_err(|name| failed(format!("zoo.json has no input '{name}'")))?;
        signature.check(&inputs, RULES).map_err(|error| failed(error.to_string()))?;
        let wanted: Vec<usize> = (0..signature.outputs.len()).collect();
        let got = loaded.session.run(&inputs, &wanted, None).map_err(|error| failed(error.to_string()))?;
        let tolerance = Tolerance { relative: model.tolerance, absolute: model.tolerance };
        for (name, want) in &model.outputs {
            let at = signature.output_index(name).ok_or_else(|| failed(format!("there is no output '{name}'")))?;
            let got = got.get(at).ok_or_else(|| failed("an output did not come".to_owned()))?;
            tolerance.check(want, got).map_err(|why| Outcome::Wrong(format!("{name}: {why}")))?;
        }
        Ok(())
    };
    run().err().unwrap_or(Outcome::Passed)
}

/// Runs every model that both engines load on 10 000 drawn rows each, and holds what differs against
/// `zoo/<engine>_differs.txt`.
///
/// # Errors
/// Models that differ without a reason or in more rows, or do not although the list says so.
pub fn hold_against(engine: &Arc<dyn Engine>, reference: &Arc<dyn Engine>) -> Result<String, String> {
    let accepted = lists::ZOO.reasons(&format!("{}_differs.txt", engine.info().name))?;
    let models = file::read()?;
    let (mut said, mut wrong) = (String::new(), String::new());
    for (model, compared) in models.iter().zip(compare_all(&**engine, &**reference, &models)) {
        let Some(differences) = compared.map_err(|why| format!("{}: {why}", model.name))? else { continue };
        let _ = writeln!(said, "{}: {differences}", model.name);
        let allowed = accepted.get(&model.name).map(|reason| allowed(reason)).transpose()?;
        if differences.is_none() && allowed.is_some() {
            let _ = writeln!(wrong, "{} is listed as different, and is not", model.name);
        } else if !differences.is_none() && allowed.is_none_or(|allowed| differences.wrong > allowed) {
            let _ = writeln!(wrong, "{} ({}): {differences}", model.name, model.operators.join(" "));
        }
    }
    if wrong.is_empty() { Ok(said) } else { Err(wrong) }
}

type Compared = Result<Option<Differences>, String>;

/// All models, on two threads.
fn compare_all(engine: &dyn Engine, reference: &dyn Engine, models: &[Model]) -> Vec<Compared> {
    let half = |models: &[Model]| -> Vec<Compared> {
        models.iter().map(|model| compare(reference, engine, &model.bytes, &model.inputs)).collect()
    };
    let (first, second) = models.split_at(models.len() / 2);
    thread::scope(|scope| {
        let second_half = scope.spawn(|| half(second));
        let mut all = half(first);
        all.extend(second_half.join().unwrap_or_else(|_| vec![Err("a comparison panicked".to_owned()); second.len()]));
        all
    })
}

/// How many rows a reason accepts: it begins with their number.
fn allowed(reason: &str) -> Result<usize, String> {
    let number = reason.split(' ').next().and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("'{reason}' does not begin with a number of rows"))
}
