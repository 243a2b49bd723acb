//! `candor.vote`: the label that most members give, or the one with the largest mean probability.
//!
//! As scikit-learn's `VotingClassifier`: weights count for both, and of equal classes the lowest wins. It does not know
//! models.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Combiner, Component, Description, Error, Inputs, Port, Result, TensorView, schema, version,
};
use serde::Deserialize;

use crate::{
    classes::Classes,
    members::{Datatype, Members, Rows, dim, largest, same_rows},
};

/// How votes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voting {
    /// Each member has one vote, times its weight.
    Hard,
    /// The mean of probabilities.
    Soft,
}

/// What members give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// One label for each row.
    Labels,
    /// One probability for each row and class.
    Probabilities,
}

/// The configuration; `vote.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteConfig {
    voting: Voting,
    from: Option<From>,
    members: Option<usize>,
    weights: Option<Vec<f64>>,
    classes: Option<Classes>,
    #[serde(default)]
    datatype: Datatype,
}

/// Votes as its configuration says.
pub struct Vote {
    voting: Voting,
    from: From,
    members: Members,
    classes: Option<Classes>,
    datatype: Datatype,
}

impl Component for Vote {
    type Config = VoteConfig;
    const ID: &'static CStr = c"candor.vote";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../vote.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: VoteConfig, _call: &Call<'_>) -> Result<Self> {
        let from = config.from.unwrap_or(match config.voting {
            Voting::Hard => From::Labels,
            Voting::Soft => From::Probabilities,
        });
        if config.voting == Voting::Soft && from == From::Labels {
            return Err(Error::invalid("`voting` is \"soft\", which counts probabilities, and `from` is \"labels\""));
        }
        config.classes.as_ref().map_or(Ok(()), Classes::check)?;
        let members = Members::new(config.members, config.weights, true)?;
        Ok(Self { voting: config.voting, from, members, classes: config.classes, datatype: config.datatype })
    }

    fn describe(&self) -> Result<Description> {
        let classes = self.classes.as_ref().map_or(Ok(-1), |classes| dim(classes.len()))?;
        let inputs = match self.from {
            From::Labels => self.members.ports(Classes::datatype(self.classes.as_ref()), &[-1]),
            From::Probabilities => self.members.ports(self.datatype.name(), &[-1, classes]),
        };
        let mut outputs = vec![Port::new("y", Classes::datatype(self.classes.as_ref()), &[-1])];
        if self.voting == Voting::Soft {
            outputs.push(Port::new("probabilities", self.datatype.name(), &[-1, classes]));
        }
        Ok(Description { inputs: inputs?, outputs })
    }
}

impl Combiner for Vote {
    fn combine(&self, call: &Call<'_>, answers: &Inputs<'_>) -> Result<()> {
        let answers = self.members.answers(answers)?;
        match (self.voting, self.from) {
            (Voting::Hard, From::Labels) => {
                let read =
                    |(member, view): (usize, &TensorView<'_>)| Classes::read(self.classes.as_ref(), view, member);
                let votes = answers.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
                self.hard(call, &votes)
            }
            (Voting::Hard, From::Probabilities) => {
                let answers = self.probabilities(&answers)?;
                let best = |(member, rows): (usize, &Rows)| {
                    (0..rows.rows).map(|row| dim(rows.largest(row, &format!("y_{member}"))?)).collect()
                };
                self.hard(call, &answers.iter().enumerate().map(best).collect::<Result<Vec<_>>>()?)
            }
            (Voting::Soft, From::Labels | From::Probabilities) => self.soft(call, &self.probabilities(&answers)?),
        }
    }
}

impl Vote {
    fn probabilities(&self, answers: &[TensorView<'_>]) -> Result<Vec<Rows>> {
        let answers = answers.iter().map(Rows::of).collect::<Result<Vec<_>>>()?;
        let classes = self.classes.as_ref().map(Classes::len).or(answers.first().map(|first| first.columns));
        for (member, answer) in answers.iter().enumerate() {
            if Some(answer.columns) != classes || answer.columns == 0 {
                let (columns, classes) = (answer.columns, classes.unwrap_or(0).max(1));
                return Err(Error::invalid(format!("`y_{member}` has {columns} columns, expected {classes} classes")));
            }
        }
        Ok(answers)
    }

    /// `votes` has for each member a class for each row.
    fn hard(&self, call: &Call<'_>, votes: &[Vec<i64>]) -> Result<()> {
        let rows = votes.first().map_or(0, Vec::len);
        for (member, votes) in votes.iter().enumerate() {
            same_rows(votes.len(), rows, member)?;
        }
        let mut winners = Vec::with_capacity(rows);
        let mut counts: Vec<(i64, f64)> = Vec::with_capacity(votes.len());
        for row in 0..rows {
            counts.clear();
            for (member, votes) in votes.iter().enumerate() {
                let (class, weight) = (votes.get(row).copied().unwrap_or_default(), self.members.weight(member));
                match counts.iter_mut().find(|(counted, _)| *counted == class) {
                    Some((_, count)) => *count += weight,
                    None => counts.push((class, weight)),
                }
            }
            // The lowest of those with most votes.
            let best = counts.iter().copied().reduce(|best, next| {
                let more = next.1 > best.1 || (next.1.to_bits() == best.1.to_bits() && next.0 < best.0);
                if more { next } else { best }
            });
            winners.push(best.map_or(0, |(class, _)| class));
        }
        Classes::write(self.classes.as_ref(), call, &winners)
    }

    fn soft(&self, call: &Call<'_>, answers: &[Rows]) -> Result<()> {
        let Some(first) = answers.first() else { return Err(Error::invalid("there are no answers")) };
        let mut means = vec![0.0_f64; first.numbers.len()];
        let mut sum = 0.0;
        for (member, answer) in answers.iter().enumerate() {
            same_rows(answer.rows, first.rows, member)?;
            let weight = self.members.weight(member);
            sum += weight;
            for (mean, number) in means.iter_mut().zip(&answer.numbers) {
                *mean += number * weight;
            }
        }
        means.iter_mut().for_each(|mean| *mean /= sum);
        let winner = |(row, means): (usize, &[f64])| {
            let best = largest(means).ok_or_else(|| Error::invalid(format!("a probability in row {row} is no number")));
            best.and_then(dim)
        };
        let winners = means.chunks_exact(first.columns).enumerate().map(winner).collect::<Result<Vec<_>>>()?;
        Classes::write(self.classes.as_ref(), call, &winners)?;
        self.datatype.write(call, "probabilities", &[dim(first.rows)?, dim(first.columns)?], &means)
    }
}
