//! The inputs of a call, as docs/plugins/explainers.md names them, checked.
//!
//! It does not know what is computed.

use candor_plugin_sdk::{Error, Inputs, Result, TensorView};

use crate::{
    fold::Folded,
    matrix::{Background, Matrix},
};

/// Most numbers of one output.
const CELLS_MAX: usize = 1 << 28;

/// What is asked.
pub struct Asked {
    /// The columns that the model reads, of the rows to explain.
    pub rows: Matrix,
    /// The same of the background.
    pub background: Background,
    /// The player of each column.
    pub owner: Vec<u32>,
    /// How many players.
    pub players: usize,
    /// Which outputs.
    pub outputs: Vec<usize>,
    /// Whether interactions are asked for.
    pub interactions: bool,
}

impl Asked {
    /// Of the inputs.
    pub fn of(folded: &Folded, inputs: &Inputs<'_>) -> Result<Self> {
        let x = matrix(&inputs.need("x")?, folded)?;
        let no_background = || Error::invalid("there is no input `background`: rows that stand for what is not known");
        let background = matrix(&inputs.get("background").ok_or_else(no_background)?, folded)?;
        if background.width != x.width {
            let (own, x) = (background.width, x.width);
            return Err(Error::invalid(format!("`background` has {own} features, `x` {x}")));
        }
        textual(folded, inputs)?;
        let words = inputs.get("words").map(|words| words.strings()).transpose()?;
        let words: Vec<&[u8]> = words.into_iter().flatten().collect();
        let columns = |rows: &Matrix, name: &str| {
            folded.columns(rows, &words).map_err(|refusal| Error::invalid(format!("`{name}`: {refusal}")))
        };
        let weights = inputs.get("weights").map(|weights| weights.to_vec::<f64>()).transpose()?;
        let rows = columns(&background, "background")?;
        let background = Background::new(rows, weights.as_deref()).ok_or_else(|| {
            Error::invalid("`weights` must be one for each row of `background`, not negative and not all zero")
        })?;
        let (groups, players) = groups(inputs, x.width)?;
        let owner = folded.owners().iter().map(|own| groups.get(*own as usize).copied().unwrap_or(0)).collect();
        let outputs = outputs(inputs, folded.outputs.len())?;
        let interactions = flag(inputs, "interactions")?;
        let asked = Self { rows: columns(&x, "x")?, background, owner, players, outputs, interactions };
        asked.bounded(folded)?;
        Ok(asked)
    }

    fn bounded(&self, folded: &Folded) -> Result<()> {
        // Shares of all scores are held, whichever outputs are asked for.
        let targets = folded.outputs.len().max(1);
        let squared = if self.interactions { self.players } else { 1 };
        let cells = self.rows.rows.saturating_mul(self.players).saturating_mul(squared).saturating_mul(targets);
        if cells > CELLS_MAX {
            let what = format!("the answer has {cells} numbers; at most {CELLS_MAX} at once: ask for fewer rows");
            return Err(Error::new(candor_plugin_sdk::Status::Resource, what));
        }
        Ok(())
    }
}

fn size(dim: i64) -> Result<usize> {
    usize::try_from(dim).map_err(|_| Error::invalid("a shape cannot be"))
}

/// Rows of features. More than the graph needs are allowed where it does not say how many there are.
fn matrix(view: &TensorView<'_>, folded: &Folded) -> Result<Matrix> {
    let name = view.name()?;
    let &[rows, width] = view.shape() else {
        return Err(Error::invalid(format!("`{name}` has the shape {:?}, expected rows and features", view.shape())));
    };
    let (rows, width, needed) = (size(rows)?, size(width)?, folded.features);
    if width < needed || (width > needed && !folded.is_open) {
        let exact = if folded.is_open { "at least " } else { "" };
        return Err(Error::invalid(format!("`{name}` has {width} features, the graph reads {exact}{needed}")));
    }
    Matrix::new(rows, width, view.to_vec::<f64>()?).ok_or_else(|| Error::invalid(format!("`{name}` has a wrong shape")))
}

/// That the caller takes for text what the graph takes for text, if it says so.
fn textual(folded: &Folded, inputs: &Inputs<'_>) -> Result<()> {
    let Some(textual) = inputs.get("textual") else { return Ok(()) };
    for feature in textual.to_vec::<i64>()? {
        let is_text = usize::try_from(feature).ok().and_then(|at| folded.textual.get(at)).copied();
        if is_text != Some(true) {
            return Err(Error::invalid(format!("`textual` names feature {feature}, which the graph reads as numbers")));
        }
    }
    Ok(())
}

/// The player of each feature, and how many there are.
fn groups(inputs: &Inputs<'_>, features: usize) -> Result<(Vec<u32>, usize)> {
    let Some(view) = inputs.get("groups") else {
        let count = u32::try_from(features).map_err(|_| Error::invalid("there are too many features"))?;
        return Ok(((0..count).collect(), features));
    };
    let groups = view.to_vec::<i64>()?;
    let own: Option<Vec<u32>> = groups.iter().map(|player| u32::try_from(*player).ok()).collect();
    let own = own.filter(|own| own.len() == features);
    let wrong = || Error::invalid(format!("`groups` must be the number of a player for each of {features} features"));
    let own = own.ok_or_else(wrong)?;
    let players = own.iter().max().map_or(0, |most| *most as usize + 1);
    let mut seen = vec![false; players.min(features + 1)];
    own.iter().for_each(|player| seen.iter_mut().skip(*player as usize).take(1).for_each(|seen| *seen = true));
    if players > features || !seen.iter().all(|seen| *seen) {
        return Err(Error::invalid("`groups` must be 0, 1, … without a gap"));
    }
    Ok((own, players))
}

fn outputs(inputs: &Inputs<'_>, count: usize) -> Result<Vec<usize>> {
    let Some(view) = inputs.get("outputs") else { return Ok((0..count).collect()) };
    let wrong = |at: i64| Error::invalid(format!("`outputs` names {at}; the model has the outputs 0 to {}", count - 1));
    view.to_vec::<i64>()?
        .into_iter()
        .map(|at| usize::try_from(at).ok().filter(|at| *at < count).ok_or_else(|| wrong(at)))
        .collect()
}

fn flag(inputs: &Inputs<'_>, name: &str) -> Result<bool> {
    let Some(view) = inputs.get(name) else { return Ok(false) };
    match view.to_vec::<i64>()?[..] {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(Error::invalid(format!("`{name}` must be 0 or 1"))),
    }
}
