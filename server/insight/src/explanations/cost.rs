//! What a question may cost at most, so that one that is too large is refused before the model is asked anything.
//!
//! The numbers of coalitions are those of docs/plugins/sampled.md. A method that is not listed here costs what it costs:
//! its evaluations are counted while it asks, and end it at the same bounds.

use candor_domain::{Error, ErrorCode, Result};

use super::{ExplanationSettings, Method, scene::Scene, target::Target};

/// Bytes of one number that a model answers.
const NUMBER_BYTES: u64 = 8;

/// What a method asks of the model: rows × each × background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    rows: u64,
    /// Coalitions, or neighbours.
    each: u64,
    /// Rows of the background for each of them.
    background: u64,
    /// Outputs that are explained.
    outputs: u64,
}

/// Looks whether a question stays within the bounds of evaluations and of answers that are kept.
///
/// # Errors
/// `TooLarge` with the bound that it would break, and the numbers that make it so large.
pub(super) fn check(
    settings: &ExplanationSettings,
    method: &Method,
    (scene, target): (&Scene<'_>, &Target),
) -> Result<()> {
    let players = scene.players.len();
    let Some(each) = each(method, players, scene.question.budget) else { return Ok(()) };
    // Neighbours are drawn beside the background, not upon it.
    let is_mixed = *method != Method::Lime;
    let background = scene.absent.as_ref().filter(|_| is_mixed).map_or(1, |absent| absent.rows.rows);
    let plan =
        Plan { rows: scene.x.rows as u64, each, background: background as u64, outputs: target.elements.len() as u64 };
    plan.check(settings)
}

/// Coalitions of a row at most, or its neighbours; nothing where that is not known beforehand.
fn each(method: &Method, players: usize, budget: Option<u64>) -> Option<u64> {
    let count = players as u64;
    // There are no more coalitions than these.
    let all = u32::try_from(players).ok().and_then(|players| 2_u64.checked_pow(players)).unwrap_or(u64::MAX);
    match method {
        Method::Exact => Some(all),
        Method::Kernel => Some(budget.unwrap_or(2 * count + 2048).min(all)),
        Method::Permutation => Some(budget.unwrap_or((10 * (2 * count + 1)).max(500)).min(all)),
        Method::Lime => Some(budget.unwrap_or(5000)),
        Method::Auto
        | Method::Linear
        | Method::Tree
        | Method::Occlusion
        | Method::IntegratedGradients
        | Method::Component(_) => None,
    }
}

impl Plan {
    fn check(self, settings: &ExplanationSettings) -> Result<()> {
        let Self { rows, each, background, outputs } = self;
        let evaluations = rows.saturating_mul(each).saturating_mul(background);
        let bytes = answers(evaluations, outputs);
        let (what, key, max, got) = if evaluations > settings.evaluations_max {
            ("evaluations of the model", EVALUATIONS_MAX, settings.evaluations_max, evaluations)
        } else if bytes > settings.answers_bytes_max {
            ("bytes of answers of the model", ANSWERS_BYTES_MAX, settings.answers_bytes_max, bytes)
        } else {
            return Ok(());
        };
        let made = format!("{rows} × {each} × {background} (rows, samples, rows of the background)");
        let made =
            if key == EVALUATIONS_MAX { made } else { format!("{made} × {outputs} outputs of {NUMBER_BYTES} bytes") };
        let error = Error::new(ErrorCode::TooLarge, format!("the explanation would take up to {got} {what}: {made}"));
        Err(error.at(key).expected(format!("at most {max} ({key})")).got(got.to_string()).hint(HINT))
    }
}

/// Bytes of the answers of so many evaluations, which are kept until the explanation is over.
pub(super) fn answers(evaluations: u64, outputs: u64) -> u64 {
    evaluations.saturating_mul(outputs).saturating_mul(NUMBER_BYTES)
}

/// The setting that bounds evaluations.
pub(super) const EVALUATIONS_MAX: &str = "explanations.evaluations_max";
/// The setting that bounds answers.
pub(super) const ANSWERS_BYTES_MAX: &str = "explanations.answers_bytes_max";
/// What helps against both.
pub(super) const HINT: &str =
    "ask for fewer rows, fewer outputs or a smaller budget, or take a summary of the background";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coalitions_are_as_many_as_the_budget_and_the_players_allow() {
        assert_eq!(each(&Method::Exact, 4, Some(3)), Some(16));
        assert_eq!(each(&Method::Kernel, 4, Some(10_000)), Some(16));
        assert_eq!(each(&Method::Kernel, 30, None), Some(2108));
        assert_eq!(each(&Method::Permutation, 30, None), Some(610));
        assert_eq!(each(&Method::Permutation, 30, Some(61)), Some(61));
        assert_eq!(each(&Method::Exact, 4096, None), Some(u64::MAX));
        assert_eq!((each(&Method::Lime, 2, None), each(&Method::Tree, 2, None)), (Some(5000), None));
    }

    #[test]
    fn what_is_too_large_is_told_with_its_numbers_and_the_key() {
        let settings =
            ExplanationSettings { evaluations_max: 6000, answers_bytes_max: 96_000, ..ExplanationSettings::default() };
        let plan = Plan { rows: 3, each: 100, background: 20, outputs: 2 };
        assert!(plan.check(&settings).is_ok());
        let error = Plan { rows: 4, ..plan }.check(&settings).unwrap_err();
        assert_eq!((error.code(), error.place()), (ErrorCode::TooLarge, Some(EVALUATIONS_MAX)));
        let told = error.to_string();
        assert!(
            told.contains("8000 evaluations") && told.contains("4 × 100 × 20 (rows, samples, rows of the background)"),
            "{told}"
        );
        let error = Plan { outputs: 3, ..plan }.check(&settings).unwrap_err();
        assert_eq!(error.place(), Some(ANSWERS_BYTES_MAX));
        assert!(error.to_string().contains("144000 bytes"), "{error}");
        let endless = Plan { each: u64::MAX, background: u64::MAX, ..plan };
        assert_eq!(endless.check(&settings).unwrap_err().place(), Some(EVALUATIONS_MAX));
    }
}
