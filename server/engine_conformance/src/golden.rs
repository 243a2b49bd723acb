//! The sample models' golden pairs on any engine, read from the tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candor_domain::{Engine, ErrorCode, LoadedModel, ModelSource, Tensor};
use serde::Deserialize;

use crate::{
    named::RawTensor,
    operators::{RULES, Tolerance},
};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<GoldenCase>,
}

#[derive(Deserialize)]
struct GoldenCase {
    name: String,
    inputs: Vec<RawTensor>,
    outputs: Vec<RawTensor>,
}

/// Loads every model of the model repository `models` that has golden pairs, and answers the pairs; gives the
/// names of the versions that it answered. `refuses` names models that the engine must refuse as unsupported,
/// with the reason.
///
/// # Errors
/// The first version that is not answered right, or is loaded although it should be refused.
pub fn golden(engine: &dyn Engine, models: &Path, refuses: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut answered = Vec::new();
    for (name, folder) in versions(models)? {
        let bytes = fs::read(folder.join("model.onnx")).map_err(|error| format!("{name}: {error}"))?;
        let loaded = engine.load(ModelSource { bytes: &bytes, folder: &folder });
        let is_excused = refuses.iter().any(|(model, _)| name.split('/').next() == Some(*model));
        match (loaded, is_excused) {
            (Ok(loaded), false) => {
                answer(&loaded, &folder).map_err(|why| format!("{name}: {why}"))?;
                answered.push(name);
            }
            (Err(error), true) if error.code() == ErrorCode::Unsupported => {}
            (Ok(_), true) => return Err(format!("{name} loads, and is listed as refused")),
            (Err(error), _) => return Err(format!("{name}: {error}")),
        }
    }
    Ok(answered)
}

/// Versions with golden pairs, such as `iris/2`, and their folders.
fn versions(models: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, String> {
        let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let folders = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_dir());
        Ok(folders.collect())
    };
    let mut found = Vec::new();
    for model in list(models)? {
        for version in list(&model)?.into_iter().filter(|version| version.join("golden.json").is_file()) {
            let name = version.strip_prefix(models).unwrap_or(&version).display().to_string();
            found.push((name, version));
        }
    }
    found.sort();
    if found.is_empty() { Err(format!("{} has no golden pairs", models.display())) } else { Ok(found) }
}

fn answer(loaded: &LoadedModel, folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("golden.json")).map_err(|error| error.to_string())?;
    let golden: Golden = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    // What the issue asks of every engine, whatever made the pairs.
    let tolerance = Tolerance { relative: 1e-5, absolute: 1e-5 };
    for case in &golden.cases {
        let read = |side: &[RawTensor]| side.iter().map(RawTensor::read).collect::<Result<Vec<_>, String>>();
        let (given, wanted) = (read(&case.inputs)?, read(&case.outputs)?);
        let find = |name: &str| given.iter().find(|(given, _)| given == name).map(|(_, tensor)| tensor.clone());
        let inputs = loaded.signature.inputs.iter().map(|spec| find(&spec.name).ok_or(format!("no '{}'", spec.name)));
        let inputs: Vec<Tensor> = inputs.collect::<Result<_, _>>()?;
        loaded.signature.check(&inputs, RULES).map_err(|error| format!("{}: {error}", case.name))?;
        for (name, want) in &wanted {
            let at = loaded.signature.output_index(name).ok_or_else(|| format!("there is no output '{name}'"))?;
            let got = loaded.session.run(&inputs, &[at], None).map_err(|error| format!("{}: {error}", case.name))?;
            let got = got.first().ok_or("no output came")?;
            tolerance.check(want, got).map_err(|why| format!("{}, {name}: {why}", case.name))?;
        }
    }
    Ok(())
}
