//! The words by which somebody narrows the roster: for the server, or for one model.

use std::fmt;

use serde::Deserialize;

/// Which engines may run a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "\"auto\", \"ort\", \"native\", \"tract\" or \"plugin\"")]
pub enum EngineChoice {
    /// All, in their order.
    #[default]
    Auto,
    /// ONNX Runtime.
    Ort,
    /// The engine of Candor's own.
    Native,
    /// The pair that needs no library: Candor's own and tract.
    Tract,
    /// A component of a plugin, which `[plugin]` of a model's `model.toml` names. Never the server's choice.
    Plugin,
    /// Other models and a component that combines them, which `[ensemble]` names. Never the server's choice.
    Ensemble,
}

impl EngineChoice {
    /// Every word that a server may be told, and what it means.
    pub const WORDS: [(&str, Self); 4] =
        [("auto", Self::Auto), ("ort", Self::Ort), ("native", Self::Native), ("tract", Self::Tract)];

    /// Whether the engine of this name may run a version.
    #[must_use]
    pub fn admits(self, name: &str) -> bool {
        match self {
            Self::Auto => true,
            Self::Ort => name == "ort",
            Self::Native => name == "native",
            Self::Tract => name == "native" || name == "tract",
            Self::Plugin | Self::Ensemble => false,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ort => "ort",
            Self::Native => "native",
            Self::Tract => "tract",
            Self::Plugin => "plugin",
            Self::Ensemble => "ensemble",
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
