//! Named features: what people call the columns of a model's inputs, and where each goes.
//!
//! Made once per version from its signature and manifest. A door that reads rows puts cells into a
//! [`Table`], which knows types, ranges and gaps, and gets tensors; [`Answers`] takes output tensors apart
//! into labels, probabilities and values again. Knows no wire format.
//!
//! | module | what it does |
//! |---|---|
//! | `spec` | one feature: type, range, categories, what stands for a gap |
//! | `cell` | one value into a typed buffer |
//! | `problems` | what is wrong with a table, each thing once |
//! | `table` | rows or columns of cells into tensors, with every problem by name |
//! | `answers` | output tensors into predictions |

mod answers;
mod cell;
mod problems;
mod spec;
mod table;

use std::{collections::HashMap, sync::Arc};

use candor_domain::{Datatype, Dim, Error, ErrorCode, Result, Signature, TensorSpec};

pub use answers::{Answer, Answers, OutputNotes, label_at, word};
pub use cell::{Cell, brain_bits, half_bits};
pub use spec::{FeatureKind, FeatureSpec, Place};
pub use table::{Filled, GAPS_TOLD_MAX, Gaps, Spot, Stop, Table};

use crate::repository::{Feature, Manifest, TensorNotes};

/// Widest input whose columns get names of their own without being declared; a wider one is one feature.
const COLUMNS_MAX: usize = 1024;

/// How many rows a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowCount {
    /// Any number.
    Free,
    /// As many as the graph's fixed first dimension says.
    Exactly(usize),
    /// One, which holds whole tensors: the inputs have no first dimension in common.
    Single,
}

/// All features of a version, in the order in which rows without names give them.
#[derive(Debug)]
pub struct FeatureSet {
    features: Vec<FeatureSpec>,
    by_name: HashMap<Arc<str>, usize>,
    rows: RowCount,
    rows_max: Option<usize>,
    layouts: Vec<Layout>,
}

/// How the features of one input lie in it.
#[derive(Debug)]
struct Layout {
    datatype: Datatype,
    /// How many columns it has; `None` when it is one feature.
    columns: Option<usize>,
    /// Whether a row is a list, if only of one column, and not a single element.
    is_vector: bool,
    /// Sizes of a row's dimensions as far as they are declared, when it is one feature.
    sizes: Vec<Option<usize>>,
}

impl FeatureSet {
    /// The features of a version.
    ///
    /// # Errors
    /// `InvalidModel` when the manifest declares what cannot be, `Unsupported` when rows cannot be told for
    /// this graph at all.
    pub fn new(signature: &Signature, manifest: &Manifest) -> Result<Self> {
        let rows = row_count(signature);
        let mut features: Vec<FeatureSpec> = Vec::new();
        let mut layouts = Vec::with_capacity(signature.inputs.len());
        for (input, spec) in signature.inputs.iter().enumerate() {
            let Some(dims) = &spec.dims else {
                return Err(Error::new(
                    ErrorCode::Unsupported,
                    format!("input '{}' declares no rank, so a row cannot be told", spec.name),
                )
                .hint("send tensors to /v2/models/{model}/infer"));
            };
            let notes = manifest.inputs.iter().find(|notes| notes.name == *spec.name);
            let row_dims = if rows == RowCount::Single { dims.as_slice() } else { dims.get(1..).unwrap_or_default() };
            let alone = signature.inputs.len() == 1;
            let own = features_of(input, spec, row_dims, notes, alone)
                .map_err(|error| error.at(format!("model.toml, input '{}'", spec.name)))?;
            let by_column = own.first().is_some_and(|first| matches!(first.place, Place::Column(_)));
            let sizes = if by_column { &[] } else { row_dims };
            layouts.push(Layout {
                datatype: spec.datatype,
                columns: by_column.then_some(own.len()),
                is_vector: !row_dims.is_empty(),
                sizes: sizes.iter().map(|dim| usize::try_from(dim.wire()).ok()).collect(),
            });
            features.extend(own);
        }
        let mut by_name = HashMap::with_capacity(features.len());
        for (index, feature) in features.iter().enumerate() {
            if by_name.insert(Arc::clone(&feature.name), index).is_some() {
                let code = if feature.declared { ErrorCode::InvalidModel } else { ErrorCode::Unsupported };
                return Err(Error::new(code, format!("two features are called '{}'", feature.name))
                    .at("model.toml")
                    .hint("give every feature a name of its own under [[inputs]] features"));
            }
        }
        let rows_max = match rows {
            RowCount::Free => manifest.batch_rows_max.and_then(|max| usize::try_from(max).ok()),
            RowCount::Exactly(rows) => Some(rows),
            RowCount::Single => Some(1),
        };
        Ok(Self { features, by_name, rows, rows_max, layouts })
    }

    /// The features in order.
    #[must_use]
    pub fn all(&self) -> &[FeatureSpec] {
        &self.features
    }

    /// How many rows a request may have.
    #[must_use]
    pub fn rows(&self) -> RowCount {
        self.rows
    }

    /// Position of the feature `name`.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The name that `wrong` was probably meant to be.
    #[must_use]
    pub fn closest(&self, wrong: &str) -> Option<&str> {
        crate::likeness::closest(wrong, self.features.iter().map(|feature| &*feature.name))
    }

    /// All names, for messages; the first ones if there are many.
    #[must_use]
    pub fn names(&self) -> String {
        const SHOWN_MAX: usize = 12;
        let shown: Vec<&str> = self.features.iter().take(SHOWN_MAX).map(|feature| &*feature.name).collect();
        let more = self.features.len().saturating_sub(SHOWN_MAX);
        if more == 0 { shown.join(", ") } else { format!("{}, … ({more} more)", shown.join(", ")) }
    }
}

fn row_count(signature: &Signature) -> RowCount {
    let first = |spec: &TensorSpec| spec.dims.as_ref().and_then(|dims| dims.first().cloned());
    let firsts: Option<Vec<Dim>> = signature.inputs.iter().map(first).collect();
    match firsts.as_deref() {
        Some([Dim::Any(_), rest @ ..]) if rest.iter().all(|dim| matches!(dim, Dim::Any(_))) => RowCount::Free,
        Some([Dim::Fixed(size), rest @ ..]) if rest.iter().all(|dim| *dim == Dim::Fixed(*size)) => {
            usize::try_from(*size).ok().filter(|size| *size > 0).map_or(RowCount::Single, RowCount::Exactly)
        }
        _ => RowCount::Single,
    }
}

/// The features of one input whose rows have `dims`.
fn features_of(
    input: usize,
    spec: &TensorSpec,
    dims: &[Dim],
    notes: Option<&TensorNotes>,
    alone: bool,
) -> Result<Vec<FeatureSpec>> {
    let declared = notes.map(|notes| notes.features.as_slice()).unwrap_or_default();
    let width = match dims {
        [] => Some(1),
        [Dim::Fixed(width)] => usize::try_from(*width).ok().filter(|width| *width > 0),
        [Dim::Any(_)] if !declared.is_empty() => Some(declared.len()),
        [..] => None,
    };
    let named = |name: String| Feature { name, ..Feature::default() };
    let whole = || {
        let mut feature = named(spec.name.to_string());
        feature.description = notes.and_then(|notes| notes.description.clone());
        FeatureSpec::new(&feature, input, Place::Whole(dims.to_vec()), spec.datatype, false).map(|one| vec![one])
    };
    match width {
        Some(width) if declared.len() == width => {
            let specs = declared.iter().enumerate();
            specs
                .map(|(at, feature)| FeatureSpec::new(feature, input, Place::Column(at), spec.datatype, true))
                .collect()
        }
        Some(1) => {
            let mut feature = named(spec.name.to_string());
            feature.description = notes.and_then(|notes| notes.description.clone());
            FeatureSpec::new(&feature, input, Place::Column(0), spec.datatype, false).map(|one| vec![one])
        }
        Some(width) if width <= COLUMNS_MAX => (0..width)
            .map(|at| {
                let name = if alone { format!("f{at}") } else { format!("{}_f{at}", spec.name) };
                FeatureSpec::new(&named(name), input, Place::Column(at), spec.datatype, false)
            })
            .collect(),
        Some(_) | None if declared.is_empty() => whole(),
        Some(_) | None => Err(Error::model("features are declared, but a row of this input is not a list of them")),
    }
}

#[cfg(test)]
mod tests;
