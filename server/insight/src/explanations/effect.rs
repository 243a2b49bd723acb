//! What a model does with a feature over many rows: how much it counts on it, and how its answers move with it.
//!
//! The numbers are a component's, by the names of docs/plugins/explainers.md; here rows become numbers, and codes of
//! texts become texts again.

use candor_domain::{ComponentOrigin, Error, Result, Tensor, TensorData, names::quoted};
use serde_json::{Map, Value};

use super::{
    Core, Question, Rows, Space, Subject, Turn, blame,
    layout::{Words, numbers},
    scene::{Scene, floats, whole},
    subject::Kind,
    target::Target,
};

/// What is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectKind {
    /// How much worse answers get when a feature is permuted.
    PermutationImportance,
    /// How answers change with a feature, all else as it is.
    PartialDependence,
    /// The same from place to place, so that features that go together are not torn apart.
    LocalEffects,
}

impl EffectKind {
    /// The component that knows it.
    #[must_use]
    pub const fn component(self) -> &'static str {
        match self {
            Self::PermutationImportance => "candor.permutation_importance",
            Self::PartialDependence => "candor.pdp",
            Self::LocalEffects => "candor.ale",
        }
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct EffectQuestion {
    /// What is to be found out.
    pub kind: EffectKind,
    /// One or two features, where it is about them.
    pub features: Vec<String>,
    /// The truth of each row: a number, or the number of a class.
    pub truth: Option<Vec<f64>>,
    /// The component's configuration.
    pub options: Map<String, Value>,
}

/// What was found out.
#[derive(Debug, Clone)]
pub struct Effect {
    /// The component that found it.
    pub component: &'static str,
    /// Where that comes from.
    pub origin: ComponentOrigin,
    /// What the numbers of answers are.
    pub space: Space,
    /// The outputs.
    pub outputs: Vec<String>,
    /// Features, or groups of them, in the order of what is told for each.
    pub features: Vec<String>,
    /// What was told, by name.
    pub tensors: Vec<EffectTensor>,
    /// Rows that the model evaluated.
    pub evaluations: u64,
}

/// Something that was told.
#[derive(Debug, Clone)]
pub struct EffectTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Its values.
    pub values: EffectValues,
}

/// Values, all of one kind.
#[derive(Debug, Clone, PartialEq)]
pub enum EffectValues {
    /// Numbers; NaN where there is none.
    Numbers(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
}

impl Core {
    /// Finds out on this thread.
    pub(super) fn effect(
        &self,
        subject: &dyn Subject,
        (question, effect): (&Question, &EffectQuestion),
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Effect> {
        let scene = self.scene(subject, question, rows, turn)?;
        let about = subject.about();
        let target = Target::choose(about, (&question.outputs, question.space), (&scene.served, scene.x.rows), false)?;
        let columns = columns(&scene, &effect.features)?;
        let mut more = Vec::new();
        if effect.kind != EffectKind::PermutationImportance {
            let numbers = columns.iter().filter_map(|column| i64::try_from(*column).ok()).collect();
            more.push(("features", whole(numbers)?));
            more.push(("categorical", whole(truths(&scene))?));
        }
        if let Some(truth) = &effect.truth {
            more.push(("y", floats(&[truth.len()], truth.clone())?));
        }
        let component = effect.kind.component();
        let opened = self.own(subject, component, &effect.options)?;
        let said = scene.ask(&*opened, (&target, false), more, turn);
        let said = said.map_err(|error| blame(component, error))?;
        let textual = scene.layout.textual();
        let tensors = said.tensors.iter().map(|(name, tensor)| {
            let axis = name.strip_prefix("grid_").or_else(|| name.strip_prefix("edges_"));
            let column = axis.and_then(|axis| axis.parse::<usize>().ok()).and_then(|axis| columns.get(axis));
            let is_text = column.is_some_and(|column| textual.iter().any(|text| usize::try_from(*text) == Ok(*column)));
            told(name, tensor, is_text.then_some(&scene.words))
        });
        let tensors = tensors.collect();
        let features = if effect.features.is_empty() { scene.players.names.clone() } else { effect.features.clone() };
        let (space, outputs, origin) = (target.space, target.names, opened.origin());
        Ok(Effect { component, origin, space, outputs, features, tensors, evaluations: said.evaluations })
    }
}

/// The columns of features that have one each.
fn columns(scene: &Scene<'_>, names: &[String]) -> Result<Vec<usize>> {
    let about = scene.subject.about();
    let columns = names.iter().map(|name| {
        let note = about.features.iter().find(|feature| *feature.name == **name);
        let columns = note.map(|note| scene.layout.columns_of(note));
        columns.filter(|columns| columns.len() == 1).map(|columns| columns.start).ok_or_else(|| {
            let error = Error::invalid(format!("the model has no feature {} of one value", quoted(name)));
            let names: Vec<&str> = about.features.iter().take(12).map(|feature| &*feature.name).collect();
            error.at("features").expected(names.join(", "))
        })
    });
    columns.collect()
}

/// Columns of true and false, which have no order.
pub(super) fn truths(scene: &Scene<'_>) -> Vec<i64> {
    let features = scene.subject.about().features.iter().filter(|feature| feature.kind() == Kind::Truth);
    features.flat_map(|feature| scene.layout.columns_of(feature)).filter_map(|at| i64::try_from(at).ok()).collect()
}

fn told(name: &str, tensor: &Tensor, words: Option<&Words>) -> EffectTensor {
    let dims = tensor.shape().dims().iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let values = match (tensor.data(), words) {
        (TensorData::Bytes(texts), _) => EffectValues::Texts(texts.iter().map(text).collect()),
        (data, None) => EffectValues::Numbers(numbers(data, &mut Words::default())),
        (data, Some(words)) => {
            let codes = numbers(data, &mut Words::default());
            EffectValues::Texts(codes.iter().map(|code| words.text(*code).map(text).unwrap_or_default()).collect())
        }
    };
    EffectTensor { name: name.to_owned(), dims, values }
}
