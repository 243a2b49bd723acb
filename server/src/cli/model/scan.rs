//! `candor model scan`: what model files could do to the machine that loads them. Loads nothing, needs no engine.

use std::path::PathBuf;

use candor_domain::{Result, Version};
use candor_engine_source::told;
use candor_onnx::{
    ContentDigest, Folder, Limits,
    scan::{Finding, Scan, Severity, Topic},
};
use candor_serving::repository::{FoundVersion, MODEL_FILE};
use clap::Args;

use super::{
    findings::{self, ModelReport, VersionReport},
    served,
    target::{Named, Target, target},
};
use crate::{
    cli::{
        args::CommonArgs,
        problem::{Done, Failure},
        report::{Check, number},
        screen,
    },
    config::Settings,
};

#[derive(Args)]
pub(in crate::cli) struct ScanArgs {
    /// Folder of a model, of a version, or of models, or an ONNX file; several may be named.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn run(args: &ScanArgs) -> Done {
    let settings = args.common.settings(None)?;
    let targets = args.paths.iter().map(|path| target(path, settings.repository_limits)).collect::<Result<Vec<_>>>();
    let (mut reports, mut ignored) = (Vec::new(), Vec::new());
    for target in targets.map_err(Failure::of_arguments)? {
        reports.extend(target.models.iter().map(|named| model(&target, named, &settings)));
        ignored.extend(target.ignored);
    }
    Ok(findings::print(&reports, &ignored, args.json, "nothing that must not be loaded"))
}

fn model(target: &Target, named: &Named, settings: &Settings) -> ModelReport {
    let (name, folder) = (named.name.clone(), named.path.clone());
    let mut report = ModelReport { name, folder, checks: named.checks(), versions: Vec::new() };
    let Ok(model) = &named.found else { return report };
    let served = served(model, &settings.version_policy).unwrap_or_default();
    let only = target.only.as_ref();
    for found in model.versions.iter().filter(|found| only.is_none_or(|only| *only == found.version)) {
        let served = served.contains(&found.version);
        let version = found.version.to_string();
        report.versions.push(VersionReport { version, served, checks: version_checks(target, found) });
    }
    if report.versions.is_empty() {
        let only = only.map_or("", Version::as_str);
        report.checks.push(Check::fail("versions", format!("version {only} holds no file {MODEL_FILE}")));
    }
    report
}

fn version_checks(target: &Target, found: &FoundVersion) -> Vec<Check> {
    let bytes = match target.repository.read_model(found) {
        Ok(bytes) => bytes,
        Err(error) => return vec![Check::from_error("file", &error)],
    };
    let (folder, limits) = (Folder::new(found.graph_folder()), Limits::default());
    let scan = Scan::of(&bytes, &folder, &limits);
    let mut all = vec![Check::ok("file", screen::size(bytes.len() as u64))];
    if scan.refusal().is_none()
        && let Some(model) = &scan.model
    {
        all.push(match ContentDigest::of(&bytes, model, &folder, &limits) {
            Ok(digest) => Check::ok("content", content(&digest)),
            Err(error) => Check::from_error("content", &told(&error)),
        });
    }
    all.extend(checks(&scan));
    all
}

fn content(digest: &ContentDigest) -> String {
    let hex: String = digest.content.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = |(path, bytes): (&candor_onnx::SafePath, &u64)| format!("\nwith {} of {path}", screen::size(*bytes));
    format!("sha256 {hex}{}", digest.external.iter().map(file).collect::<String>())
}

/// What the scan says, one line each; `model check` shows those that are not well.
pub(super) fn checks(scan: &Scan) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(model) = &scan.model {
        let domain = |domain: &str| if domain.is_empty() { "ai.onnx".to_owned() } else { domain.to_owned() };
        let opsets = model.opsets.iter().map(|(name, version)| format!(", {} {version}", domain(name)));
        let counts = scan.census;
        checks.push(Check::ok(
            "graph",
            format!(
                "{}, {}; format {}{}",
                number(usize::try_from(counts.nodes).unwrap_or(usize::MAX), "node"),
                number(usize::try_from(counts.tensors).unwrap_or(usize::MAX), "tensor"),
                model.ir_version,
                opsets.collect::<String>()
            ),
        ));
    }
    let is_told = scan.findings.iter().any(|finding| finding.topic == Topic::Cost);
    if scan.cost_depends_on_values && !is_told {
        checks.push(Check::ok("cost", "a run's work depends on the values of its inputs"));
    }
    checks.extend(scan.findings.iter().map(check));
    if scan.more > 0 {
        checks.push(Check::warn("more", format!("{} more findings", scan.more)));
    }
    checks
}

fn check(finding: &Finding) -> Check {
    // "file" is what was read; what was read is no graph.
    let topic = if finding.topic == Topic::File { Topic::Graph } else { finding.topic };
    let check = Check::from_error(topic.word(), &told(&finding.problem));
    match finding.severity {
        Severity::Refuse => check,
        Severity::Warn => check.warning(),
        Severity::Note => Check::ok(check.what, check.text),
    }
}
