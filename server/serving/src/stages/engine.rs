//! A component in the place of an engine: named tensors on its side, positions on the other.
//!
//! Before it: `open`. After it: the same as after any engine. It checks what the component gives against what it said,
//! because those who come after rely on that.

use std::{collections::BTreeMap, sync::Arc};

use candor_domain::{
    Cancel, Component, ComponentCall, ComponentKind, EngineInfo, Error, ErrorCode, LoadedModel, Models, Result, Run,
    Session, Signature, Tensor, TensorSpec,
};

use super::{
    Digest, Opener, Part,
    ensemble::{Caller, Source},
    open::Wanted,
};
use crate::{engines::Chosen, repository::PluginNotes};

/// A component that answers.
pub(crate) struct Predictor {
    component: Arc<dyn Component>,
    signature: Signature,
    /// Models that it may call.
    models: Option<Arc<dyn Source>>,
}

impl Predictor {
    fn answer(&self, inputs: &[Tensor], wanted: &[usize], call: &ComponentCall<'_>) -> Result<Vec<Tensor>> {
        let named: Vec<(&str, &Tensor)> =
            self.signature.inputs.iter().zip(inputs).map(|(spec, tensor)| (&*spec.name, tensor)).collect();
        let mut given = self.component.run(&named, call)?;
        let mut outputs: Vec<Tensor> = Vec::with_capacity(wanted.len());
        for (index, position) in wanted.iter().enumerate() {
            let lost = || Error::new(ErrorCode::Internal, "an output was asked for that there is not");
            let before = wanted.iter().take(index).position(|other| other == position);
            outputs.push(match before.and_then(|before| outputs.get(before)) {
                Some(same) => same.clone(),
                None => take(&mut given, self.signature.outputs.get(*position).ok_or_else(lost)?)?,
            });
        }
        Ok(outputs)
    }
}

impl Session for Predictor {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        let Some(source) = &self.models else {
            return self.answer(inputs, wanted, &ComponentCall { cancel, ..ComponentCall::default() });
        };
        let clock = Arc::clone(source.clock());
        let caller = Caller::new(source, &Run::new(&*clock, cancel, None));
        self.answer(inputs, wanted, &ComponentCall { cancel, deadline: None, models: Some(&caller) })
    }

    fn run_as(&self, inputs: &mut [Tensor], wanted: &[usize], run: &mut Run<'_>) -> Result<Vec<Tensor>> {
        let caller = self.models.as_ref().map(|source| Caller::new(source, run));
        let models = caller.as_ref().map(|caller| caller as &dyn Models);
        let call = ComponentCall { cancel: run.cancel, deadline: run.deadline, models };
        self.answer(inputs, wanted, &call)
    }
}

/// One of the tensors that a component gave, which must be what it said.
///
/// # Errors
/// `EngineFailed` when it is not there, or is something else.
pub(crate) fn take(given: &mut Vec<(String, Tensor)>, spec: &TensorSpec) -> Result<Tensor> {
    let Some(place) = given.iter().position(|(name, _)| **name == *spec.name) else {
        return Err(Error::new(ErrorCode::EngineFailed, format!("it gave no output '{}'", spec.name)));
    };
    let (_, tensor) = given.swap_remove(place);
    if is_what_was_said(spec, &tensor) {
        return Ok(tensor);
    }
    Err(Error::new(ErrorCode::EngineFailed, format!("its output '{}' is not what it said", spec.name))
        .expected(format!("{} {}", spec.datatype, spec.shape_text()))
        .got(format!("{} {}", tensor.datatype(), tensor.shape())))
}

fn is_what_was_said(spec: &TensorSpec, tensor: &Tensor) -> bool {
    let Some(dims) = &spec.dims else { return tensor.datatype() == spec.datatype };
    let sizes = tensor.shape().dims();
    let fits = |(dim, size): (&candor_domain::Dim, &i64)| match dim {
        candor_domain::Dim::Fixed(fixed) => fixed == size,
        candor_domain::Dim::Any(_) => true,
    };
    tensor.datatype() == spec.datatype && dims.len() == sizes.len() && dims.iter().zip(sizes).all(fits)
}

/// Opens the component that is a model's engine.
///
/// # Errors
/// `InvalidModel` that names the key.
pub(crate) fn open_plugin(opener: &Opener<'_>, notes: &PluginNotes, digest: &mut Digest) -> Result<(Chosen, Part)> {
    let wanted = Wanted {
        at: "plugin",
        id: &notes.component,
        kind: ComponentKind::Predictor,
        config: &notes.config,
        takes: &notes.takes,
        gives: &notes.gives,
    };
    let made = opener.open(&wanted, &[])?;
    if made.signature.inputs.is_empty() {
        return Err(Error::model("an engine takes something")
            .at("model.toml plugin.takes")
            .hint("the component tells of no input: say takes = […]"));
    }
    opener.write(digest, "engine", &format!("{notes:?}"), &made);
    let origin = made.component.origin();
    let engine = EngineInfo {
        name: "plugin",
        version: format!("{} {}", origin.plugin, origin.version),
        library: None,
        library_sha256: origin.sha256,
        platform: "candor_plugin",
        backend: "plugin",
    };
    let models = opener.models().filter(|_| !made.inline).cloned();
    let session = Predictor { component: Arc::clone(&made.component), signature: made.signature.clone(), models };
    let loaded = LoadedModel {
        session: Box::new(session),
        signature: made.signature.clone(),
        properties: BTreeMap::new(),
        cost_depends_on_values: !made.inline,
    };
    let part = Part {
        id: Some(made.id),
        inline: made.inline,
        deterministic: made.deterministic,
        component: Some(made.component),
        ..Part::engine(&made.signature)
    };
    Ok((Chosen { loaded, engine, passed_over: Vec::new() }, part))
}
