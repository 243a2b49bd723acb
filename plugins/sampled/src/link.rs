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
    /// ln(p / (1 − p)): log-odds of probabilities.
    Logit,
}

impl Link {
    /// Puts numbers on the scale.
    ///
    /// # Errors
    /// `Wrong` for log-odds of what is not above 0 and below 1.
    pub fn apply(self, numbers: &mut [f64]) -> Result<(), Failure> {
        match self {
            Self::Identity => Ok(()),
            Self::Logit => numbers.iter_mut().try_for_each(|number| {
                if !(*number > 0.0 && *number < 1.0) {
                    return Err(Failure::wrong(format!(
                        "`link` is \"logit\", which needs outputs above 0 and below 1, and the model gives {number}; use \
                         \"identity\""
                    )));
                }
                *number = (*number / (1.0 - *number)).ln();
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
