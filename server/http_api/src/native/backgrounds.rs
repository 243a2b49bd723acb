//! Backgrounds as they are shown.

use candor_insight::explanations::BackgroundView;
use serde::Serialize;
use utoipa::ToSchema;

/// Rows that can stand for "absent".
#[derive(Debug, Serialize, ToSchema)]
pub struct BackgroundBody {
    /// What they are called.
    #[schema(example = "u-5e884898da280471")]
    pub id: String,
    /// Digest of their values.
    #[schema(example = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
    pub sha256: String,
    /// `file`: of the model's folder; `golden`: the inputs of its golden pairs; `uploaded`.
    #[schema(example = "uploaded")]
    pub source: String,
    /// How many there are.
    #[schema(example = 100)]
    pub rows: usize,
}

/// The backgrounds of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackgroundList {
    /// The model.
    #[schema(example = "iris")]
    pub model: String,
    /// The version.
    #[schema(example = "2")]
    pub version: String,
    /// The first one is taken where a caller names none, unless it was uploaded.
    pub backgrounds: Vec<BackgroundBody>,
}

impl From<BackgroundView> for BackgroundBody {
    fn from(view: BackgroundView) -> Self {
        Self { id: view.id, sha256: view.sha256, source: view.source.word().to_owned(), rows: view.rows }
    }
}
