//! Methods, and the components that know them.
//!
//! A method is a word of the API; behind it is a component's name, which a plugin offers or does not. This is the only
//! place that knows those names.

use super::Space;

/// How to find out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// What the graph allows: exact where that is cheap.
    #[default]
    Auto,
    /// Shapley values of a linear graph.
    Linear,
    /// Shapley values of a graph of trees.
    Tree,
    /// Shapley values by enumeration.
    Exact,
    /// Shapley values by weighted regression over sampled coalitions.
    Kernel,
    /// Shapley values over sampled permutations.
    Permutation,
    /// A local surrogate.
    Lime,
    /// What hiding a part changes.
    Occlusion,
    /// Gradients along the way from a background, by finite differences.
    IntegratedGradients,
    /// A component by its name.
    Component(String),
}

/// What a method wants of who asks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    /// The component that knows it.
    pub(crate) id: &'static str,
    /// Whether it reads the graph and calls no model.
    pub(crate) reads_graph: bool,
    /// Whether it needs rows that stand for "absent".
    pub(crate) needs_background: bool,
    /// Whether what it says adds up to the answer.
    pub(crate) is_additive: bool,
    /// Whether it draws by chance.
    pub(crate) is_sampled: bool,
    /// The space that it is asked for if the caller names none; nothing for that of the answer.
    pub(crate) space: Option<Space>,
}

impl Method {
    /// Every method that has a word, in the order of documents and metrics.
    pub const WORDS: [(&'static str, Self); 9] = [
        ("auto", Self::Auto),
        ("linear", Self::Linear),
        ("tree", Self::Tree),
        ("exact", Self::Exact),
        ("kernel", Self::Kernel),
        ("permutation", Self::Permutation),
        ("lime", Self::Lime),
        ("occlusion", Self::Occlusion),
        ("integrated_gradients", Self::IntegratedGradients),
    ];

    /// Its word; the component's name where it has none.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Component(id) => id,
            Self::Auto
            | Self::Linear
            | Self::Tree
            | Self::Exact
            | Self::Kernel
            | Self::Permutation
            | Self::Lime
            | Self::Occlusion
            | Self::IntegratedGradients => {
                Self::WORDS.iter().find(|(_, method)| method == self).map_or("auto", |(word, _)| word)
            }
        }
    }

    /// A method from its word, or a component from a name with a dot in it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let known = Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, method)| method.clone());
        known.or_else(|| (word.contains('.') && word.len() <= 128).then(|| Self::Component(word.to_owned())))
    }

    /// What it wants.
    pub(crate) fn traits(&self) -> Traits {
        let of = |id: &'static str| Traits {
            id,
            reads_graph: false,
            needs_background: true,
            is_additive: true,
            is_sampled: false,
            space: None,
        };
        match self {
            Self::Linear => Traits { reads_graph: true, space: Some(Space::Margin), ..of("candor.linear_shap") },
            Self::Tree => Traits { reads_graph: true, space: Some(Space::Margin), ..of("candor.tree_shap") },
            Self::Exact => of("candor.exact_shap"),
            Self::Auto | Self::Kernel => Traits { is_sampled: true, ..of("candor.kernel_shap") },
            Self::Permutation => Traits { is_sampled: true, ..of("candor.permutation_shap") },
            Self::Lime => Traits { is_sampled: true, is_additive: false, ..of("candor.lime") },
            Self::Occlusion => Traits { is_additive: false, needs_background: false, ..of("candor.occlusion") },
            Self::IntegratedGradients => of("candor.integrated_gradients"),
            Self::Component(_) => Traits { needs_background: false, is_additive: false, is_sampled: true, ..of("") },
        }
    }

    /// The component that knows it.
    pub(crate) fn component(&self) -> &str {
        match self {
            Self::Component(id) => id,
            Self::Auto
            | Self::Linear
            | Self::Tree
            | Self::Exact
            | Self::Kernel
            | Self::Permutation
            | Self::Lime
            | Self::Occlusion
            | Self::IntegratedGradients => self.traits().id,
        }
    }
}
