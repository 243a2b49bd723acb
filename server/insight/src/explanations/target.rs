//! Which outputs are explained, and in which space.
//!
//! The space says what the numbers are: `probability` is what a classifier answers; `margin` is what it adds up before
//! it makes probabilities of that (log-odds for two classes); `raw` is a number that is neither. Between probabilities
//! of two classes and their margin there is the logit; margins of more classes cannot be told from probabilities.

use candor_domain::{Error, ErrorCode, Result, Tensor, names::quoted};

use super::{
    About, OutputPick, Role,
    layout::{Words, numbers},
    subject::{Kind, OutputNote},
};

/// What the numbers of an explanation are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Probabilities.
    Probability,
    /// What stands before the link: scores, log-odds.
    Margin,
    /// Numbers that are neither.
    Raw,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Probability, Self::Margin, Self::Raw];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::Margin => "margin",
            Self::Raw => "raw",
        }
    }

    /// A space from its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|space| space.word() == word)
    }
}

/// How an explained number comes from a served one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transform {
    /// It is the same.
    Same,
    /// ln(p / (1 − p)).
    Logit,
    /// It cannot be told from it: what explains reads the graph.
    Unknown,
}

/// What is explained.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The output that it is a part of, by position.
    pub(crate) output: usize,
    /// The elements of its rows that are explained.
    pub(crate) elements: Vec<usize>,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// How many elements there are.
    pub(crate) all: usize,
    /// Where the numbers live.
    pub(crate) space: Space,
    pub(crate) transform: Transform,
}

/// Probabilities are kept this far from 0 and 1 before their logit is taken, which would be infinite there: 27.6.
const PROBABILITY_MIN: f64 = 1e-12;

/// Log-odds.
fn logit(p: f64) -> f64 {
    let p = p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    (p / (1.0 - p)).ln()
}

/// Elements that a row of an output has, for `rows` rows.
fn each(tensor: &Tensor, rows: usize) -> Option<usize> {
    let first = tensor.shape().dims().first()?;
    (usize::try_from(*first) == Ok(rows) && rows > 0).then(|| tensor.data().len() / rows)
}

/// The output that people read of an answer, of those with numbers in this space.
fn output_in(about: &About, wanted: Option<Space>) -> Option<(usize, &OutputNote)> {
    let of = |role: Role| about.outputs.iter().enumerate().find(|(_, output)| output.role == role);
    let other = || {
        let mut numeric = about.outputs.iter().enumerate().filter(|(_, output)| output.role == Role::Other);
        numeric.find(|(_, output)| Kind::of(output.datatype) == Kind::Number)
    };
    match wanted {
        Some(Space::Probability) => of(Role::Probabilities),
        Some(Space::Margin) => of(Role::Scores).or_else(|| of(Role::Probabilities)).or_else(|| of(Role::Value)),
        Some(Space::Raw) => of(Role::Value).or_else(other),
        None => of(Role::Probabilities).or_else(|| of(Role::Scores)).or_else(|| of(Role::Value)).or_else(other),
    }
}

/// The same, or why there is none.
fn main_output(about: &About, wanted: Option<Space>) -> Result<(usize, &OutputNote)> {
    output_in(about, wanted).ok_or_else(|| {
        let spaces = Space::ALL.into_iter().filter(|space| output_in(about, Some(*space)).is_some());
        let spaces: Vec<&str> = spaces.map(Space::word).collect();
        match wanted {
            Some(space) if !spaces.is_empty() => {
                let what = format!("this model has no output in the space {}", space.word());
                Error::invalid(what).at("space").expected(spaces.join(" or "))
            }
            _ => Error::new(ErrorCode::Unsupported, "this model answers no numbers that features could have shares in"),
        }
    })
}

impl Target {
    /// What is explained, of a version that answered `served` to `rows` rows. `by_graph` when what explains reads the
    /// graph, and so knows what stands before the link.
    ///
    /// # Errors
    /// `InvalidInput` for an output or a space that there is not.
    pub(crate) fn choose(
        about: &About,
        (picks, space): (&[OutputPick], Option<Space>),
        (served, rows): (&[Tensor], usize),
        by_graph: bool,
    ) -> Result<Self> {
        let named = picks.iter().find_map(|pick| match pick {
            OutputPick::Name(name) => about.outputs.iter().position(|output| *output.name == **name),
            OutputPick::Index(_) => None,
        });
        let (output, note) = match named.and_then(|at| Some((at, about.outputs.get(at)?))) {
            Some(found) => found,
            None => main_output(about, space)?,
        };
        let no_rows = || {
            let what = format!("output '{}' does not fall apart into rows of numbers", note.name);
            Error::new(ErrorCode::Unsupported, what)
        };
        if Kind::of(note.datatype) == Kind::Text {
            return Err(no_rows());
        }
        let all = served.get(output).and_then(|tensor| each(tensor, rows)).ok_or_else(no_rows)?;
        let own = match note.role {
            Role::Probabilities => Space::Probability,
            Role::Scores => Space::Margin,
            Role::Label | Role::Value | Role::Other => Space::Raw,
        };
        let (space, transform) = match (space, own) {
            (None, own) => (own, Transform::Same),
            (Some(space), own) if space == own => (own, Transform::Same),
            // A regression has no link: its margin is its value.
            (Some(Space::Margin | Space::Raw), Space::Raw | Space::Margin) => (own, Transform::Same),
            (Some(Space::Margin), Space::Probability) if all <= 2 && !by_graph => (Space::Margin, Transform::Logit),
            (Some(Space::Margin), Space::Probability) if by_graph => (Space::Margin, Transform::Unknown),
            (Some(space), _) => {
                let what = format!("output '{}' cannot be explained in the space {}", note.name, space.word());
                let error = Error::invalid(what).at("space").expected(own.word());
                return Err(if space == Space::Margin {
                    error.hint("margins of more than two classes cannot be told from their probabilities")
                } else {
                    error
                });
            }
        };
        let label = |class: usize| match note.labels.get(class) {
            Some(label) => label.clone(),
            None if all == 1 => note.name.to_string(),
            None => class.to_string(),
        };
        let labels: Vec<String> = (0..all).map(label).collect();
        let elements = elements(picks, note, &labels)?;
        let names = elements.iter().filter_map(|class| labels.get(*class).cloned()).collect();
        Ok(Self { output, elements, names, all, space, transform })
    }

    /// The explained numbers of `rows` rows, from what the version answered: rows × elements.
    ///
    /// # Errors
    /// `EngineFailed` when the answer has another shape than before.
    pub(crate) fn read(&self, tensor: &Tensor, rows: usize) -> Result<Vec<f64>> {
        let all = self.served(tensor, rows)?;
        let mut picked = Vec::with_capacity(rows.saturating_mul(self.elements.len()));
        for row in all.chunks_exact(self.all.max(1)) {
            picked.extend(self.elements.iter().filter_map(|element| row.get(*element)).map(
                |served| match self.transform {
                    Transform::Same | Transform::Unknown => *served,
                    Transform::Logit => logit(*served),
                },
            ));
        }
        Ok(picked)
    }

    /// All numbers of the output as they are served: rows × all.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn served(&self, tensor: &Tensor, rows: usize) -> Result<Vec<f64>> {
        let mut numbers = numbers(tensor.data(), &mut Words::default());
        let whole = rows.saturating_mul(self.all);
        // A batch that was filled up has more.
        if numbers.len() < whole {
            return Err(Error::new(ErrorCode::EngineFailed, "the model answered with another shape than before"));
        }
        numbers.truncate(whole);
        Ok(numbers)
    }
}

/// The elements that a caller picks.
fn elements(picks: &[OutputPick], note: &OutputNote, labels: &[String]) -> Result<Vec<usize>> {
    let mut elements = Vec::new();
    for (index, pick) in picks.iter().enumerate() {
        let at = || if picks.len() == 1 { "output".to_owned() } else { format!("output/{index}") };
        let found = match pick {
            OutputPick::Index(class) => Some(*class).filter(|class| *class < labels.len()),
            // A query string has no numbers: what is no label may be the number of a class.
            OutputPick::Name(name) => labels
                .iter()
                .position(|label| label == name)
                .or_else(|| name.parse().ok().filter(|class| *class < labels.len())),
        };
        match (found, pick) {
            (Some(class), _) if elements.contains(&class) => {
                return Err(Error::invalid("this output stands there twice").at(at()));
            }
            (Some(class), _) => elements.push(class),
            (None, OutputPick::Name(name)) if **name == *note.name => elements.extend(0..labels.len()),
            (None, OutputPick::Name(name)) => {
                let error = Error::invalid(format!("there is no output {} to explain", quoted(name))).at(at());
                return Err(error.expected(shown(labels)));
            }
            (None, OutputPick::Index(class)) => {
                let error = Error::invalid(format!("there is no output number {class} to explain")).at(at());
                return Err(error.expected(format!("0 to {}", labels.len().saturating_sub(1))));
            }
        }
    }
    Ok(if picks.is_empty() { (0..labels.len()).collect() } else { elements })
}

fn shown(labels: &[String]) -> String {
    let shown: Vec<&str> = labels.iter().take(12).map(String::as_str).collect();
    shown.join(", ")
}
