//! Links: the scale on which shares add up.
//!
//! Applied to worths, after they were averaged over the background, as `shap.KernelExplainer` does. It does not know
//! the game.

use crate::model::Failure;

/// A scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// The model's own.
    #[default]
    Identity,
    /// ln(p / (1 − p)): log-odds of probabilities, taken as at least 1e-15 away from 0 and 1, as `shap` takes them.
    Logit,
}

/// How near to 0 and 1 a probability may be.
const EDGE: f64 = 1e-15;

impl Link {
    /// Puts numbers on the scale.
    ///
    /// # Errors
    /// `Wrong` for log-odds of what is no probability.
    pub fn apply(self, numbers: &mut [f64]) -> Result<(), Failure> {
        match self {
            Self::Identity => Ok(()),
            Self::Logit => numbers.iter_mut().try_for_each(|number| {
                if !(0.0..=1.0).contains(number) {
                    return Err(Failure::wrong(format!(
                        "`link` is \"logit\", which needs outputs from 0 to 1, and the model gives {number}; use \
                         \"identity\""
                    )));
                }
                let share = number.clamp(EDGE, 1.0 - EDGE);
                *number = (share / (1.0 - share)).ln();
                Ok(())
            }),
        }
    }

    /// A copy on the scale.
    ///
    /// # Errors
    /// As [`Link::apply`].
    pub fn of(self, numbers: &[f64]) -> Result<Vec<f64>, Failure> {
        let mut numbers = numbers.to_vec();
        self.apply(&mut numbers)?;
        Ok(numbers)
    }
}
