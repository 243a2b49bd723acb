//! What can be drawn, as plain values: no type of another room, everything readable from JSON.
//!
//! Whoever has an explanation fills these in; [`crate::pictures`] draws them. Texts may hold anything. Numbers may be
//! anything too: what is not finite is drawn as nothing and told as "not a number".

use serde::{Deserialize, Serialize};

/// What the shares are shares of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quantity {
    /// Without an article, as it would stand on an axis: "probability of approved", "price".
    pub name: String,
    /// "€", "minutes"; left out where there is none.
    #[serde(default)]
    pub unit: Option<String>,
    /// Probabilities are told in per cent, and their shares in percentage points.
    #[serde(default)]
    pub space: Space,
}

/// In which space the explanation adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// The number that the model gives.
    #[default]
    Raw,
    /// Before the last function of a classifier: log-odds, votes.
    Margin,
    /// From 0 to 1.
    Probability,
}

/// Why a model said what it said about one row: `base + Σ shares = output`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// What is explained.
    pub quantity: Quantity,
    /// The quantity with nothing known.
    pub base: f64,
    /// What the base is, as it would follow "It starts at 57 %, ". Without it, "the average over the background".
    #[serde(default)]
    pub base_is: Option<String>,
    /// The quantity for this row.
    pub output: f64,
    /// In any order.
    pub shares: Vec<Share>,
}

/// The part of one feature, or of a group of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Share {
    /// Of the feature or group.
    pub name: String,
    /// As it should be read: "52,000 €", "renter", "missing". None where a group has no single value.
    #[serde(default)]
    pub value: Option<String>,
    /// How far it moved the quantity, with its sign.
    pub share: f64,
    /// Of the share, for methods that sample.
    #[serde(default)]
    pub standard_error: Option<f64>,
}

/// The value of a feature in one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A number.
    Number(f64),
    /// A category.
    Text(String),
    /// No value.
    Missing(()),
}

impl Cell {
    /// No value.
    pub const MISSING: Self = Self::Missing(());
}

/// Many rows explained: for a beeswarm, for dependence, for the mean of absolute shares.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// What is explained.
    pub quantity: Quantity,
    /// As many as there are features, in any order.
    pub columns: Vec<Column>,
}

/// One feature over many rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Column {
    /// Of the feature or group.
    pub name: String,
    /// Its value in each row; empty where a group has none.
    #[serde(default)]
    pub values: Vec<Cell>,
    /// Its share in each row.
    pub shares: Vec<f64>,
}

/// How much each feature matters to a model as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Importance {
    /// What the bars measure: "mean |share| of probability of approved", "loss of accuracy when shuffled".
    pub measure: String,
    /// Over so many rows.
    #[serde(default)]
    pub rows: Option<u64>,
    /// In any order.
    pub features: Vec<Weight>,
}

/// One bar.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Weight {
    /// Of the feature or group.
    pub name: String,
    /// Its length.
    pub weight: f64,
    /// Of the weight, where it is known.
    #[serde(default)]
    pub standard_error: Option<f64>,
}

/// What the model says on average when one feature is set to each of some values: partial dependence (PDP), with the
/// single rows (ICE).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Effect {
    /// What is drawn upwards.
    pub quantity: Quantity,
    /// The feature that is set.
    pub feature: String,
    /// To what, in the order of the axis: all numbers, or all texts.
    pub grid: Vec<Cell>,
    /// The average for each value of the grid.
    pub mean: Vec<f64>,
    /// One curve for each row, each as long as the grid; may be empty.
    #[serde(default)]
    pub rows: Vec<Vec<f64>>,
    /// Are the curves moved so that all begin at zero?
    #[serde(default)]
    pub is_centred: bool,
    /// Where data lie: values of the feature, best its quantiles. Drawn as ticks below a numeric axis.
    #[serde(default)]
    pub data: Vec<f64>,
    /// The value of the row that a report is about.
    #[serde(default)]
    pub here: Option<f64>,
}

/// Accumulated local effects of one numeric feature.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LocalEffects {
    /// What is drawn upwards: its change, compared with its average.
    pub quantity: Quantity,
    /// The feature.
    pub feature: String,
    /// Between which the effects are counted, rising.
    pub edges: Vec<f64>,
    /// At each edge, centred on zero.
    pub effects: Vec<f64>,
    /// Rows in each interval (one less than edges); may be empty.
    #[serde(default)]
    pub counts: Vec<u64>,
}

/// An image and the share of each part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// What is explained.
    pub quantity: Quantity,
    /// The image.
    pub image: Image,
    /// Rows of the grid of shares.
    pub rows: u32,
    /// Columns of the grid.
    pub columns: u32,
    /// Row by row from the top left, `rows × columns` of them.
    pub shares: Vec<f64>,
}

/// Pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// A PNG file; it is not decoded, only its size is read.
    Png(Vec<u8>),
    /// Three bytes for each pixel, row by row.
    Rgb {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// `3 × width × height` of them.
        bytes: Vec<u8>,
    },
}

/// A text and the share of each of its words.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TextMap {
    /// What is explained.
    pub quantity: Quantity,
    /// In the order of the text.
    pub tokens: Vec<Token>,
}

/// A word, or whatever the model takes for one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Token {
    /// As it should be read.
    pub text: String,
    /// How far it moved the quantity, with its sign.
    pub share: f64,
}

/// Rows like the one in question about which the model says something else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Counterfactuals {
    /// What the model says now: "denied", "12 %".
    pub now: String,
    /// The quantity now, where it is known.
    #[serde(default)]
    pub quantity: Option<Quantity>,
    /// See `quantity`.
    #[serde(default)]
    pub output: Option<f64>,
    /// Best first.
    pub found: Vec<Counterfactual>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Counterfactual {
    /// What the model would say: "approved".
    pub then: String,
    /// The quantity then, where it is known.
    #[serde(default)]
    pub output: Option<f64>,
    /// Only what differs.
    pub changes: Vec<Change>,
}

/// One value that would be another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// The feature.
    pub name: String,
    /// Its value, as it should be read.
    pub from: String,
    /// The value in the counterfactual.
    pub to: String,
}
