//! What an explainer is asked, read from its inputs and checked.
//!
//! The names are those of docs/plugins/explainers.md. It does not know which method reads them.

use candor_plugin_sdk::{Element, Error, Question, Result, TensorView};

/// Most evaluations for a row that may be asked for.
pub const BUDGET_MAX: usize = 1 << 20;
/// Most numbers that a question's rows, or its background's, may have.
const CELLS_MAX: usize = 1 << 27;

/// A question.
pub struct Asked {
    /// The rows to explain, one after another.
    pub x: Vec<f64>,
    /// How many numbers a row has.
    pub features: usize,
    /// Rows that stand for "absent".
    pub background: Vec<f64>,
    /// Their weights.
    pub weights: Option<Vec<f64>>,
    /// The player of each feature.
    pub groups: Option<Vec<i64>>,
    /// Which outputs of the model are explained.
    pub outputs: Option<Vec<usize>>,
    /// Most evaluations for a row.
    pub budget: Option<usize>,
    /// Of what is random.
    pub seed: u64,
    /// Which features hold codes of text.
    pub textual: Vec<usize>,
    /// Whether interactions are wanted too.
    pub interactions: bool,
}

impl Asked {
    /// Reads a question.
    pub fn of(question: &Question<'_>) -> Result<Self> {
        let (_, features, x) = matrix(&question.x, "x")?;
        if features == 0 {
            return Err(Error::invalid("`x` has no features"));
        }
        let background = question.background.ok_or_else(|| {
            Error::invalid("there is no `background`; give at least one row that stands for what is absent")
        })?;
        let (count, wide, background) = matrix(&background, "background")?;
        if wide != features || count == 0 {
            return Err(Error::invalid(format!(
                "`background` has the shape [{count}, {wide}], expected at least one row of {features} features, as `x` has"
            )));
        }
        let inputs = &question.inputs;
        let weights = inputs.get("weights").map(|view| list::<f64>(&view, "weights")).transpose()?;
        let groups = inputs.get("groups").map(|view| list::<i64>(&view, "groups")).transpose()?;
        if let Some(groups) = groups.as_ref().filter(|groups| groups.len() != features) {
            let came = groups.len();
            return Err(Error::invalid(format!(
                "`groups` has {came} numbers, expected {features}: one for each feature"
            )));
        }
        let one = |name: &str| -> Result<Option<i64>> {
            let Some(view) = inputs.get(name) else { return Ok(None) };
            match list::<i64>(&view, name)?.as_slice() {
                [one] => Ok(Some(*one)),
                more => Err(Error::invalid(format!("`{name}` has {} numbers, expected 1", more.len()))),
            }
        };
        let budget = one("budget")?.map(|budget| {
            usize::try_from(budget).ok().filter(|budget| (1..=BUDGET_MAX).contains(budget)).ok_or_else(|| {
                Error::invalid(format!("`budget` is {budget}, expected 1 to {BUDGET_MAX} evaluations for each row"))
            })
        });
        Ok(Self {
            outputs: places(inputs.get("outputs"), "outputs", usize::MAX)?,
            textual: places(inputs.get("textual"), "textual", features)?.unwrap_or_default(),
            budget: budget.transpose()?,
            seed: one("seed")?.unwrap_or(0).cast_unsigned(),
            interactions: one("interactions")?.unwrap_or(0) != 0,
            x,
            features,
            background,
            weights,
            groups,
        })
    }

    /// The rows to explain.
    pub fn each(&self) -> impl Iterator<Item = &[f64]> {
        self.x.chunks_exact(self.features)
    }
}

fn matrix(view: &TensorView<'_>, name: &str) -> Result<(usize, usize, Vec<f64>)> {
    let shape = view.shape();
    let dims: Option<Vec<usize>> = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    match dims.as_deref() {
        Some(&[rows, columns]) if rows.saturating_mul(columns) <= CELLS_MAX => {
            Ok((rows, columns, view.to_vec::<f64>()?))
        }
        Some(&[rows, columns]) => Err(Error::invalid(format!(
            "`{name}` has {rows} × {columns} numbers; at most {CELLS_MAX} can be explained at once: send fewer rows"
        ))),
        _ => Err(Error::invalid(format!("`{name}` has the shape {shape:?}, expected rows and features"))),
    }
}

fn list<T: Element>(view: &TensorView<'_>, name: &str) -> Result<Vec<T>> {
    let shape = view.shape();
    if shape.len() != 1 || view.elements()? > CELLS_MAX {
        return Err(Error::invalid(format!("`{name}` has the shape {shape:?}, expected one dimension")));
    }
    view.to_vec::<T>()
}

fn places(view: Option<TensorView<'_>>, name: &str, below: usize) -> Result<Option<Vec<usize>>> {
    let Some(view) = view else { return Ok(None) };
    let places = list::<i64>(&view, name)?;
    let place = |place: i64| {
        usize::try_from(place).ok().filter(|&place| place < below).ok_or_else(|| {
            Error::invalid(format!("`{name}` has {place}, expected a number of at least 0 and below {below}"))
        })
    };
    places.into_iter().map(place).collect::<Result<Vec<_>>>().map(Some)
}
