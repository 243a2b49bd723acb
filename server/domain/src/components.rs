//! Contracts of components: what a model may be made of beside its engine. [`Components`] opens one for one version of
//! a model; what it opened runs on named tensors.
//!
//! Whoever hosts plugins implements [`Components`]; serving calls it when a version is loaded, and the component in the
//! requests of that version. What a component needs of serving is handed to it: files of its model's folder
//! ([`ModelFiles`]), and other models ([`Models`]). This module knows no plugin interface and no model repository.

use std::{fmt, sync::Arc};

use crate::{
    clock::Tick,
    engine::Cancel,
    error::Result,
    signature::{Signature, TensorSpec},
    tensor::Tensor,
};

/// What a component is. The kinds that a model can be made of come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words are those of the plugin interface")]
pub enum ComponentKind {
    Predictor,
    Transform,
    Combiner,
    Explainer,
    Detector,
    Resampler,
    Selector,
    Trainer,
    Router,
}

impl ComponentKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Predictor,
        Self::Transform,
        Self::Combiner,
        Self::Explainer,
        Self::Detector,
        Self::Resampler,
        Self::Selector,
        Self::Trainer,
        Self::Router,
    ];

    /// Its word in manifests.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Predictor => "predictor",
            Self::Transform => "transform",
            Self::Combiner => "combiner",
            Self::Explainer => "explainer",
            Self::Detector => "detector",
            Self::Resampler => "resampler",
            Self::Selector => "selector",
            Self::Trainer => "trainer",
            Self::Router => "router",
        }
    }
}

impl fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Files of a version's folder, for the component that the version is made of. Small, read when it is made; what was
/// read belongs to the version's digest.
pub trait ModelFiles: Send + Sync {
    /// The bytes of a file: a plain name, of a file and not of a link.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is no plain one, `NotFound`, `TooLarge`.
    fn read(&self, name: &str) -> Result<Vec<u8>>;
}

/// Other models, which a component may call during a call.
pub trait Models: Sync {
    /// Answers; the newest version of the model.
    ///
    /// # Errors
    /// `NotFound`, `NotReady`, `Overloaded` when models call each other too deeply, and the model's own.
    fn call(&self, model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>>;
}

/// A component that a version wants.
#[derive(Clone, Copy)]
pub struct ComponentRequest<'a> {
    /// Its name, such as `acme.scale`.
    pub id: &'a str,
    /// What it is to be.
    pub kind: ComponentKind,
    /// Its configuration: a JSON object.
    pub config_json: &'a str,
    /// The files that it may read: now, and when its plugin is loaded anew.
    pub files: &'a Arc<dyn ModelFiles>,
    /// What it will be given, by the component's own names, as far as that is known.
    pub given: &'a [TensorSpec],
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentOrigin {
    /// The plugin that offers it.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// sha256 of its library in hex; nothing for one that is compiled in.
    pub sha256: Option<String>,
}

/// A component, made for one version.
pub struct OpenComponent {
    /// Ready to run.
    pub component: Arc<dyn Component>,
    /// What it takes and gives in this configuration, where it tells.
    pub signature: Option<Signature>,
    /// Whether it may run on a thread that others wait for: short, waits for nothing, calls no model.
    pub inline: bool,
    /// Whether the same inputs give the same outputs.
    pub deterministic: bool,
}

/// A request, as far as a component may know of it.
#[derive(Clone, Copy, Default)]
pub struct ComponentCall<'a> {
    /// Tells when nobody waits any more.
    pub cancel: Option<&'a Cancel>,
    /// When it is too late, on the server's clock.
    pub deadline: Option<Tick>,
    /// Models that it may call; nothing where it may not.
    pub models: Option<&'a dyn Models>,
}

/// A component in use, which may run on any number of threads at once.
pub trait Component: Send + Sync {
    /// Runs on named tensors, and gives named tensors.
    ///
    /// # Errors
    /// What the component says; `NotReady` or `BreakerOpen` when it cannot be called now.
    fn run(&self, inputs: &[(&str, &Tensor)], call: &ComponentCall<'_>) -> Result<Vec<(String, Tensor)>>;

    /// Where it comes from now: its plugin may have been loaded anew since it was opened.
    fn origin(&self) -> ComponentOrigin;
}

/// Opens components. Wiring hands it to serving.
pub trait Components: Send + Sync {
    /// Makes a component for one version. May take seconds; called on the load pool, and on threads that explain.
    ///
    /// # Errors
    /// `NotFound` for a name that no plugin offers, with those that there are; `Unsupported` for one of another kind;
    /// `InvalidModel` for a configuration that does not fit.
    fn open(&self, wanted: ComponentRequest<'_>) -> Result<OpenComponent>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_words_of_the_plugin_interface() {
        let words = ComponentKind::ALL.map(ComponentKind::word);
        let all = "predictor transform combiner explainer detector resampler selector trainer router";
        assert_eq!(words.join(" "), all);
    }
}
