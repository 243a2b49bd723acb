//! Models of the null engine with the signatures of real ones, and Candor over that engine as a server.
//!
//! What a request costs with them is what Candor costs. `pipeline` runs them in this process; [`serve`] is for a
//! child process that `servers` starts.

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use candor::config::{Layers, Settings};
use candor_domain::{Datatype, Dim, Signature, TensorSpec};
use candor_engine_conformance::NullEngine;
use candor_serving::Engines;

use crate::bare;

/// Writes a model of each name and signature.
pub fn repository(folder: &Path, models: &[(&str, &Signature)]) -> Result<()> {
    for &(name, signature) in models {
        let version = folder.join(name).join("1");
        fs::create_dir_all(&version).context("cannot make a null model")?;
        fs::write(version.join("model.onnx"), model(signature)).context("cannot write a null model")?;
    }
    Ok(())
}

/// A model file of the null engine. Floats are a third, so that writing them costs what real ones cost.
fn model(signature: &Signature) -> String {
    let mut text = String::new();
    for spec in &signature.inputs {
        let _ = writeln!(text, "[[inputs]]\n{}", described(spec));
    }
    for spec in &signature.outputs {
        let _ = writeln!(text, "[[outputs]]\n{}", described(spec));
        if matches!(spec.datatype, Datatype::Fp32 | Datatype::Fp64) {
            let _ = writeln!(text, "constant = 0.33333334");
        }
    }
    text
}

fn described(spec: &TensorSpec) -> String {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => size.to_string(),
        Dim::Any(Some(name)) => format!("{name:?}"),
        Dim::Any(None) => "-1".to_owned(),
    };
    let dims: Vec<_> = spec.dims.iter().flatten().map(dim).collect();
    format!("name = {:?}\ndatatype = \"{}\"\ndims = [{}]", spec.name, spec.datatype, dims.join(", "))
}

/// Serves null models until this process is killed, or whoever started it is gone.
pub fn serve(folder: &Path, models: &Path, keys: &[String]) -> Result<()> {
    bare::end_with_parent()?;
    let mut layers = Layers::default();
    let fixed = [
        format!("data.dir={}", folder.display()),
        format!("repository.dir={}", models.display()),
        "http.addr=127.0.0.1:0".to_owned(),
        "grpc.addr=off".to_owned(),
        "health.addr=off".to_owned(),
    ];
    for key in fixed.iter().chain(keys) {
        layers.add_assignment(key);
    }
    let settings = Settings::read(&mut layers).map_err(|report| anyhow::anyhow!("{report}"))?;
    actix_web::rt::System::new().block_on(async {
        let engines = || Ok(Engines::one(Arc::new(NullEngine::new())));
        let (running, server) = candor::start_with(&settings, engines)?;
        let serving = actix_web::rt::spawn(server);
        running.load(true).await?;
        serving.await.context("the server was lost")?.context("the server failed")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_model_has_the_signature_and_real_looking_floats() {
        let spec = |name: &str, datatype, dims| TensorSpec { name: name.into(), datatype, dims: Some(dims) };
        let signature = Signature {
            inputs: vec![spec("x", Datatype::Fp32, vec![Dim::Any(Some("N".into())), Dim::Fixed(4)])],
            outputs: vec![
                spec("label", Datatype::Int64, vec![Dim::Any(None)]),
                spec("p", Datatype::Fp32, vec![Dim::Any(Some("N".into())), Dim::Fixed(3)]),
            ],
        };
        assert_eq!(
            model(&signature),
            "[[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"N\", 4]\n\
             [[outputs]]\nname = \"label\"\ndatatype = \"INT64\"\ndims = [-1]\n\
             [[outputs]]\nname = \"p\"\ndatatype = \"FP32\"\ndims = [\"N\", 3]\nconstant = 0.33333334\n"
        );
        let folder = tempfile::tempdir().unwrap();
        repository(folder.path(), &[("m", &signature)]).unwrap();
        assert!(crate::pipeline::Pipeline::start(&["m"], folder.path(), true).is_ok());
    }
}
