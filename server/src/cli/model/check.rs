//! `candor model check`: everything that a load verifies, and what it only would be glad of, said aloud.

use std::path::PathBuf;

use candor_domain::{Clock, Datatype, Result, Signature, TensorSpec, Version};
use candor_onnx::{Folder, Limits, scan::Scan};
use candor_serving::{
    CrossCheckState, Engines, Manifest, Meaning, Opened, Role,
    features::{FeatureSpec, Place},
    repository::{FoundModel, FoundVersion, Golden, MLMODEL_FILE, MODEL_FILE},
};
use clap::Args;

use super::{
    describe,
    findings::{self, ModelReport, VersionReport},
    scan, served,
    target::{Named, Target, target},
};
use crate::{
    cli::{
        args::CommonArgs,
        problem::{Done, Failure},
        report::{Check, Mark, number},
        screen,
    },
    clock::SystemClock,
    config::Settings,
    wiring::Workshop,
};

#[derive(Args)]
pub(in crate::cli) struct CheckArgs {
    /// Folder of a model, of a version, or of models, or an ONNX file; several may be named.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn run(args: &CheckArgs) -> Done {
    let settings = args.common.settings(None)?;
    let targets = args.paths.iter().map(|path| target(path, settings.repository_limits)).collect::<Result<Vec<_>>>();
    let targets = targets.map_err(Failure::of_arguments)?;
    let workshop = Workshop::open(&settings);
    let (mut reports, mut ignored) = (Vec::new(), Vec::new());
    for target in targets {
        let (registry, clock) = (workshop.over(&target.repository)?, SystemClock::start());
        let checker = Checker { target: &target, settings: &settings, engines: registry.engines(), clock: &clock };
        reports.extend(target.models.iter().map(|named| checker.model(named)));
        ignored.extend(target.ignored);
    }
    Ok(findings::print(&reports, &ignored, args.json, "nothing would keep them from being served"))
}

/// What a check needs.
struct Checker<'a> {
    target: &'a Target,
    settings: &'a Settings,
    engines: &'a Engines,
    clock: &'a dyn Clock,
}

impl Checker<'_> {
    fn model(&self, named: &Named) -> ModelReport {
        let (name, folder) = (named.name.clone(), named.path.clone());
        let mut report = ModelReport { name, folder, checks: named.checks(), versions: Vec::new() };
        let Ok(model) = &named.found else { return report };
        let served = served(model, &self.settings.version_policy).unwrap_or_else(|error| {
            report.checks.push(Check::from_error("versions", &error));
            Vec::new()
        });
        let only = self.target.only.as_ref();
        let mut told = None;
        for found in model.versions.iter().filter(|found| only.is_none_or(|only| *only == found.version)) {
            let served = served.contains(&found.version);
            let (checks, manifest) = self.version(model, found);
            // A version that nobody asks for keeps nothing from being served.
            let is_note = !served && only.is_none();
            let soften = |check: Check| if is_note && check.mark == Mark::Fail { check.warning() } else { check };
            let checks = checks.into_iter().map(soften).collect();
            report.versions.push(VersionReport { version: found.version.to_string(), served, checks });
            if manifest.is_some() && (served || told.is_none()) {
                told = manifest;
            }
        }
        report.checks.push(about(told.as_ref().unwrap_or(&model.manifest)));
        report.checks.extend(model.ignored.iter().map(|why| Check::warn("ignored", why)));
        if report.versions.is_empty() {
            let only = only.map_or("", Version::as_str);
            report.checks.push(Check::fail("versions", format!("version {only} holds no file {MODEL_FILE}")));
        }
        report
    }

    /// Its checks, and what its files say of it together if they agree.
    fn version(&self, model: &FoundModel, found: &FoundVersion) -> (Vec<Check>, Option<Manifest>) {
        let mut checks = Vec::new();
        let bytes = match self.target.repository.read_model(found) {
            Ok(bytes) => bytes,
            Err(error) => return (vec![Check::from_error("file", &error)], None),
        };
        // What is no graph is not read as one.
        let scan = found.has_graph().then(|| Scan::of(&bytes, &Folder::new(found.graph_folder()), &Limits::default()));
        let scanned = scan.iter().flat_map(scan::checks).filter(|check| check.mark != Mark::Ok);
        if scan.as_ref().is_some_and(|scan| scan.refusal().is_some()) {
            checks.push(Check::ok("file", screen::size(bytes.len() as u64)));
            checks.extend(scanned);
            return (checks, None);
        }
        let mut opened = match Opened::open(self.engines, &bytes, model, found) {
            Ok(opened) => opened,
            Err(error) => {
                checks.push(Check::ok("file", screen::size(bytes.len() as u64)));
                checks.push(Check::from_error("graph", &error));
                return (checks, None);
            }
        };
        checks.push(Check::ok("file", format!("{}, sha256 {}", screen::size(opened.file_bytes), opened.sha256)));
        checks.extend(scanned);
        checks.push(engine(&opened));
        let meaning = opened.read(model, found);
        checks.extend(opened.parts.iter().map(|part| Check::ok("stage", part.to_string())));
        checks.push(Check::ok("signature", signature(&opened.signature)));
        checks.extend(Self::manifest(model, found, &meaning));
        let notes = meaning.iter().flat_map(|meaning| &meaning.origin.notes);
        checks.extend(notes.map(|note| Check::warn("passed over", note)));
        let manifest = meaning.as_ref().map_or(&model.manifest, |meaning| &meaning.manifest);
        checks.extend(self.answers(&opened, manifest, found));
        if let Ok(meaning) = &meaning {
            checks.push(self.cross_check(&opened, model, found));
            checks.extend(features(meaning, &opened.signature));
            checks.extend(labels(meaning, manifest.task.as_deref()));
        }
        (checks, meaning.ok().map(|meaning| meaning.manifest))
    }

    /// Whether the files that describe the model agree with the graph.
    fn manifest(model: &FoundModel, found: &FoundVersion, meaning: &Result<Meaning>) -> Vec<Check> {
        if let Err(error) = meaning {
            return Check::all_of_error("manifest", error);
        }
        let of_version = Some(MLMODEL_FILE).filter(|_| found.has_mlmodel());
        let files: Vec<&str> = model.described_by.iter().copied().chain(of_version).collect();
        vec![match files.as_slice() {
            [] => Check::ok("manifest", "there is none; the graph alone is what callers see"),
            [one] => Check::ok("manifest", format!("{one} agrees with the graph")),
            several => Check::ok("manifest", format!("{} agree with the graph", several.join(" and "))),
        }]
    }

    /// Golden pairs and the warm-up.
    fn answers(&self, opened: &Opened, manifest: &Manifest, found: &FoundVersion) -> Vec<Check> {
        let mut checks = Vec::new();
        let golden = self.target.repository.read_golden(found);
        match &golden {
            Ok(Some(golden)) => checks.extend(cases(opened, manifest, golden)),
            Ok(None) => {
                let missing = Check::warn("golden", "no golden pairs: nothing shows that it answers rightly");
                checks.push(missing.fix(
                    "put inputs and the outputs they must give into golden.json beside the file; they are run at every load",
                ));
            }
            Err(error) => checks.push(Check::from_error("golden", error)),
        }
        checks.push(self.warm_up(opened, manifest, golden.ok().flatten().as_ref()));
        checks
    }

    /// What a second engine says to the same inputs.
    fn cross_check(&self, opened: &Opened, model: &FoundModel, found: &FoundVersion) -> Check {
        let (settings, place) = (&self.settings.cross_check, (&self.target.repository, model, found));
        let report = opened.cross_check(self.engines, place, settings, self.clock);
        let by = report.engine.as_ref().map(ToString::to_string).unwrap_or_default();
        match report.state {
            CrossCheckState::Agreed => Check::ok(
                "cross-check",
                format!("{by} agrees: {}, largest difference {:.1e}", number(usize::try_from(report.rows).unwrap_or(usize::MAX), "row"), report.largest_difference),
            ),
            CrossCheckState::Disagreed | CrossCheckState::Failed => Check::warn("cross-check", report.to_string())
                .fix("one of the engines is wrong: compare with what the model was made with, and narrow engine in model.toml"),
            CrossCheckState::None | CrossCheckState::Pending => {
                Check::ok("cross-check", format!("none: {}", report.reason.unwrap_or_default()))
            }
        }
    }

    fn warm_up(&self, opened: &Opened, manifest: &Manifest, golden: Option<&Golden>) -> Check {
        match opened.warm_up(manifest, golden, self.clock) {
            Ok(Some(nanos)) => Check::ok("warm-up", format!("{:.3} ms a row", millis(nanos))),
            Ok(None) => Check::warn("warm-up", "zeros are no input that it takes, so its cost is not known in advance")
                .fix("add golden pairs; the first of them is what it is warmed up with"),
            // The case has been reported where it was run.
            Err(_) if golden.is_some() => Check::warn("warm-up", "not done, because a golden pair has failed"),
            Err(error) => Check::from_error("warm-up", &error),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

fn cases(opened: &Opened, manifest: &Manifest, golden: &Golden) -> Vec<Check> {
    let failed = golden.cases.iter().filter_map(|case| opened.verify(manifest, golden, case).err());
    let mut checks: Vec<Check> = failed.map(|error| Check::from_error("golden", &error)).collect();
    let (all, right) = (golden.cases.len(), golden.cases.len() - checks.len());
    let by = if golden.made_by.is_empty() { String::new() } else { format!(", made by {}", golden.made_by) };
    let text = format!("{right} of {} answered rightly{by}", number(all, "pair"));
    if checks.is_empty() {
        checks.push(Check::ok("golden", text));
    } else if let Some(last) = checks.last_mut() {
        last.text.push_str(&format!("\n{text}"));
        last.fix =
            Some("the model, the file or the library has changed: find out which before you remove a case".into());
    }
    checks
}

/// What the manifest tells people.
fn about(manifest: &Manifest) -> Check {
    let told = [
        ("title", &manifest.title),
        ("description", &manifest.description),
        ("licence", &manifest.licence),
        ("task", &manifest.task),
    ];
    let missing: Vec<&str> = told.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| *key).collect();
    if missing.is_empty() {
        return Check::ok("about", manifest.title.clone().unwrap_or_default());
    }
    Check::warn("about", format!("no {}", missing.join(", no ")))
        .fix("say so in the model's model.toml; documents, `model show` and the API pass it on")
}

/// Which engine would run it, and what those before it have against it.
fn engine(opened: &Opened) -> Check {
    let mut text = format!("{} {}", opened.engine.name, opened.engine.version);
    for passed in &opened.passed_over {
        text.push_str(&format!("\nnot {passed}"));
    }
    Check::ok("engine", text)
}

fn signature(signature: &Signature) -> String {
    let side = |specs: &[TensorSpec]| {
        let one = |spec: &TensorSpec| format!("{} {} {}", spec.name, spec.datatype, describe::shape_text(spec));
        specs.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    format!("{}\n→ {}", side(&signature.inputs), side(&signature.outputs))
}

/// Which columns have names, and which are called f0, f1, …
fn features(meaning: &Meaning, signature: &Signature) -> Vec<Check> {
    let set = match &meaning.features {
        Ok(set) => set,
        Err(error) => return vec![Check { mark: Mark::Warn, ..Check::from_error("features", error) }],
    };
    let nameless: Vec<&FeatureSpec> = set.all().iter().filter(|feature| is_nameless(feature)).collect();
    let (Some(first), Some(last)) = (nameless.first(), nameless.last()) else {
        return vec![Check::ok("features", screen::wrapped(&set.names(), 80))];
    };
    let input = signature.inputs.get(first.input).map_or("", |spec| &*spec.name);
    let text =
        format!("{} have no names of their own: {} … {}", number(nameless.len(), "column"), first.name, last.name);
    vec![
        Check::warn("features", text)
            .fix(format!("name them in model.toml: [[inputs]] name = \"{input}\", features = [{{ name = \"…\" }}, …]")),
    ]
}

/// A column of several that the manifest does not name; the only one is called as its input is.
fn is_nameless(feature: &FeatureSpec) -> bool {
    let Place::Column(column) = feature.place else { return false };
    !feature.declared && feature.name.ends_with(&format!("f{column}"))
}

/// Classes with and without names.
fn labels(meaning: &Meaning, task: Option<&str>) -> Option<Check> {
    let outputs = meaning.answers.outputs();
    let labelled: Vec<&str> =
        outputs.iter().filter(|output| !output.labels.is_empty()).map(|output| &*output.name).collect();
    if !labelled.is_empty() {
        return Some(Check::ok("labels", format!("named for {}", labelled.join(", "))));
    }
    let has_texts = outputs.iter().any(|output| output.datatype == Datatype::Bytes);
    let of_classes =
        outputs.iter().any(|output| matches!(output.role, Role::Label | Role::Probabilities | Role::Scores));
    (!has_texts && (task == Some("classification") || of_classes)).then(|| {
        Check::warn("labels", "its classes have no names").fix(
            "name them in model.toml: [[outputs]] name = \"…\", labels = [\"…\", …], in the order of the class index",
        )
    })
}
