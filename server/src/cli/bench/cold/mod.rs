//! `candor bench cold`: from exec to the first right answer, with copies and without.
//!
//! Starts this binary again and again over copies of the models, asks the first question when they are ready, compares
//! the answer with a golden pair, and measures. Beside it stands the same binary that only loads ONNX Runtime's library
//! and ends: nobody who uses that library is faster.
//!
//! | module | what it does |
//! |---|---|
//! | `start` | one start, measured |

mod start;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use candor_domain::{Error, ErrorCode, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        args::CommonArgs,
        problem::Done,
        screen::{self, Table},
    },
    wiring,
};
use start::{Question, SETTLED, Start, bare, repository, start};

/// When no copy was written for so long after the first start, there will be no more.
const PRIMED: Duration = Duration::from_secs(3);

pub(super) const EXAMPLES: &str = "Examples:
  candor bench cold
  candor bench cold --models DIR --repeats 10 --json

Of each folder: its smallest model with golden pairs alone, its largest, and all of its models.
Each is started with copies and without. Times are from exec; ratios are to this binary when it only
loads the library, in the same round. docs/COLD-START.md says more.";

#[derive(Args)]
pub(in crate::cli) struct ColdArgs {
    /// Folder of models; several may be named [default: models].
    #[arg(long, value_name = "DIR")]
    models: Vec<PathBuf>,
    /// Starts of each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args)]
pub(in crate::cli) struct LibraryArgs {
    /// File for what the process held.
    told: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

/// Loads the library, says so, and ends.
pub(super) fn run_library(args: &LibraryArgs) -> Done {
    let settings = args.common.settings(None)?;
    let library = settings.ort_library.as_deref();
    let engine = candor_engine_ort::OrtEngine::try_new(library, &wiring::library_folders(), 1)?;
    let text = format!("{}\n", candor_serving::memory::memory().peak);
    fs::write(&args.told, text).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
    drop(engine);
    Ok(ExitCode::SUCCESS)
}

/// A folder that goes when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("candor-bench-cold-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::new(ErrorCode::Internal, format!("cannot make {}: {error}", path.display())))?;
        Ok(Self(path))
    }

    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A repository that is started, and how.
struct Case {
    name: String,
    repository: PathBuf,
    question: Question,
    has_copies: bool,
    data: PathBuf,
    starts: Vec<(f64, Start)>,
}

/// A model of a folder, as far as it is looked at here.
struct Found {
    path: PathBuf,
    bytes: u64,
    question: Option<Question>,
}

pub(super) fn run(args: &ColdArgs) -> Done {
    let scratch = Scratch::make()?;
    let folders = if args.models.is_empty() { vec![PathBuf::from("models")] } else { args.models.clone() };
    let mut cases = Vec::new();
    for (at, folder) in folders.iter().enumerate() {
        cases.extend(cases_of(&scratch, folder, at)?);
    }
    let words: Vec<OsString> = args.common.words();
    for case in cases.iter().filter(|case| case.has_copies) {
        // What the other starts find.
        start(&case.repository, &case.data, &words, &case.question, PRIMED)?;
    }
    let place = scratch.fresh("bare")?;
    let mut bares = Vec::new();
    for round in 0..args.repeats {
        screen::print_error(&format!("round {} of {}", round + 1, args.repeats));
        let (floor, memory) = bare(&words, &place)?;
        bares.push((floor, memory));
        for case in &mut cases {
            let mut words = words.clone();
            if !case.has_copies {
                case.data = scratch.fresh("none")?;
                words.extend(["--set".into(), "cold_start.copies=false".into()]);
            }
            let one = start(&case.repository, &case.data, &words, &case.question, SETTLED)?;
            case.starts.push((floor, one));
        }
    }
    if args.json {
        screen::print_json(&as_json(&cases, &bares));
    } else {
        screen::print(&as_text(&cases, &bares));
    }
    Ok(ExitCode::SUCCESS)
}

fn cases_of(scratch: &Scratch, folder: &Path, at: usize) -> Result<Vec<Case>> {
    let models = models(folder)?;
    let asked: Vec<&Found> = models.iter().filter(|model| model.question.is_some()).collect();
    let smallest = asked.iter().min_by_key(|model| model.bytes).copied().ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("{} has no model with golden pairs", folder.display()))
    })?;
    let name = |model: &Found| model.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut wanted = vec![(name(smallest), vec![smallest], smallest)];
    if let Some(largest) = asked.iter().max_by_key(|model| model.bytes).filter(|model| model.path != smallest.path) {
        wanted.push((name(largest), vec![*largest], *largest));
    }
    if models.len() > 1 {
        let all = format!("all {} of {}", models.len(), folder.display());
        wanted.push((all, models.iter().collect(), smallest));
    }
    let mut cases = Vec::new();
    for (which, (name, of, ask)) in wanted.into_iter().enumerate() {
        let place = scratch.fresh(&format!("models-{at}-{which}"))?;
        repository(&place, &of.iter().map(|model| model.path.clone()).collect::<Vec<_>>())?;
        for has_copies in [false, true] {
            let data = scratch.fresh(&format!("data-{at}-{which}"))?;
            let Some(question) = ask.question.clone() else { continue };
            let (name, repository) = (name.clone(), place.clone());
            cases.push(Case { name, repository, question, has_copies, data, starts: Vec::new() });
        }
    }
    Ok(cases)
}

/// The models of a folder: what they take on the disk, and a question with its answer where there is a golden pair.
fn models(folder: &Path) -> Result<Vec<Found>> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorCode::NotFound, format!("cannot read the models in {}: {error}", folder.display()))
            .hint("name a folder of models with --models DIR")
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)?.flatten() {
        let path = entry.path();
        let versions = fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
        // The highest version is the one that answers.
        let files = versions.filter(|version| version.join("model.onnx").is_file());
        let number = |version: &PathBuf| version.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
        let Some(version) = files.max_by_key(number) else { continue };
        let bytes = fs::metadata(version.join("model.onnx")).map(|file| file.len()).unwrap_or(0);
        let golden: Option<Value> =
            fs::read(version.join("golden.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let question = golden.and_then(|golden| question(&path, &golden));
        found.push(Found { path, bytes, question });
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// The smallest golden pair as a question.
fn question(model: &Path, golden: &Value) -> Option<Question> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let size = |case: &Value| list(case, "inputs").iter().map(|input| list(input, "data").len()).sum::<usize>();
    let case = list(golden, "cases").into_iter().min_by_key(size)?;
    let output = |output: &Value| Some((output.get("name")?.as_str()?.to_owned(), list(output, "data")));
    Some(Question {
        model: model.file_name()?.to_str()?.to_owned(),
        body: json!({ "inputs": list(&case, "inputs") }).to_string(),
        outputs: list(&case, "outputs").iter().map(output).collect::<Option<_>>()?,
        // As at a load: another processor may have made the pair.
        tolerance: golden.get("tolerance")?.as_f64()?.max(1e-4),
    })
}

/// Median, lowest and highest.
fn spread(mut all: Vec<f64>) -> (f64, f64, f64) {
    all.sort_by(f64::total_cmp);
    let at = |place: usize| all.get(place).copied().unwrap_or(0.0);
    (at(all.len() / 2), at(0), at(all.len().saturating_sub(1)))
}

fn series(case: &Case, of: impl Fn(&(f64, Start)) -> f64) -> (f64, f64, f64) {
    spread(case.starts.iter().map(of).collect())
}

fn shown((median, lowest, highest): (f64, f64, f64), digits: usize) -> String {
    format!("{median:.digits$} ({lowest:.digits$}–{highest:.digits$})")
}

#[allow(clippy::cast_precision_loss, reason = "bytes of a process are far below what a float holds")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn as_text(cases: &[Case], bares: &[(f64, u64)]) -> String {
    let heads = ["MODELS", "COPIES", "READY ms", "FIRST ANSWER ms", "TO BARE", "PEAK MiB", "STEADY MiB"];
    let mut table = Table::new(heads).right(2..heads.len());
    let floor = spread(bares.iter().map(|(ms, _)| *ms).collect());
    let memory = spread(bares.iter().map(|(_, bytes)| mib(*bytes)).collect());
    let dash = || "–".to_owned();
    table.row(vec![
        "the library alone".to_owned(),
        dash(),
        dash(),
        shown(floor, 0),
        "1".to_owned(),
        shown(memory, 0),
        dash(),
    ]);
    for case in cases {
        table.row(vec![
            case.name.clone(),
            if case.has_copies { "yes" } else { "no" }.to_owned(),
            shown(series(case, |(_, one)| one.ready_ms), 0),
            shown(series(case, |(_, one)| one.answer_ms), 0),
            shown(series(case, |(floor, one)| one.answer_ms / floor), 1),
            shown(series(case, |(_, one)| mib(one.peak_bytes)), 0),
            shown(series(case, |(_, one)| mib(one.steady_bytes)), 0),
        ]);
    }
    format!("medians of {} starts, with the lowest and the highest\n\n{table}", bares.len())
}

fn as_json(cases: &[Case], bares: &[(f64, u64)]) -> Value {
    let one = |case: &Case| {
        let start = |(floor, one): &(f64, Start)| {
            json!({
                "library_ms": floor,
                "ready_ms": one.ready_ms,
                "first_answer_ms": one.answer_ms,
                "peak_bytes": one.peak_bytes,
                "steady_bytes": one.steady_bytes,
            })
        };
        json!({
            "models": case.name,
            "copies": case.has_copies,
            "starts": case.starts.iter().map(start).collect::<Vec<_>>(),
        })
    };
    json!({
        "library": bares.iter().map(|(ms, bytes)| json!({"ms": ms, "peak_bytes": bytes})).collect::<Vec<_>>(),
        "cases": cases.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_pair_is_the_question() {
        let golden = json!({"tolerance": 1e-6, "cases": [
            {"inputs": [{"name": "x", "data": [1, 2]}], "outputs": [{"name": "y", "data": [3, 4]}]},
            {"inputs": [{"name": "x", "data": [1]}], "outputs": [{"name": "y", "data": [3]}]},
        ]});
        let question = question(Path::new("models/iris"), &golden).unwrap();
        assert_eq!(question.model, "iris");
        assert_eq!(question.body, r#"{"inputs":[{"name":"x","data":[1]}]}"#);
        assert_eq!(question.outputs, [("y".to_owned(), vec![json!(3)])]);
        assert!((question.tolerance - 1e-4).abs() < f64::EPSILON);
        assert!(super::question(Path::new("x"), &json!({"cases": []})).is_none());
    }

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(spread(Vec::new()), (0.0, 0.0, 0.0));
        assert_eq!(shown((2.0, 1.0, 3.5), 1), "2.0 (1.0–3.5)");
    }

    #[test]
    fn the_models_of_the_tree_are_found_with_their_questions() {
        let found = models(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")).unwrap();
        assert!(found.len() >= 8 && found.iter().all(|model| model.bytes > 0));
        assert!(found.iter().any(|model| model.question.is_some()));
        assert!(models(Path::new("/nowhere")).err().unwrap().to_string().contains("--models DIR"));
    }
}
