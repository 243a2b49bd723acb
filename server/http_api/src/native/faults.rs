//! Faults as they are ordered and shown.

use std::time::Duration;

use candor_domain::{Error, Result, Version};
use candor_serving::faults::{Fault, FaultKind, FaultRate, LiveFault};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::{NO_NAN, syntax_error};

/// The faults of one model; they take the place of those that it had.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"faults": [{"kind": "delay", "delay_ms": 5, "count_max": 1}]}))]
pub struct FaultOrders {
    /// At most 16; the first that strikes with an error or a panic ends the run.
    #[schema(max_items = 16)]
    pub faults: Vec<FaultOrder>,
}

/// What goes wrong, and how often: with every run, with every so many runs, or by chance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// `delay`, `error` or `panic`.
    #[schema(example = "delay")]
    pub kind: String,
    /// Milliseconds that a run takes longer; for `delay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 600000, example = 5)]
    pub delay_ms: Option<u64>,
    /// What the error says; for `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 256)]
    pub message: Option<String>,
    /// The version that it strikes; without one all versions of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub version: Option<String>,
    /// Strikes every run of so many: 3 is the third, the sixth, …. Without it and `probability` every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub every: Option<u64>,
    /// Strikes a run with this probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, maximum = 1.0)]
    pub probability: Option<f64>,
    /// What the chance is drawn from; the same seed strikes the same runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seed: Option<u64>,
    /// Strikes at most so often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, example = 1)]
    pub count_max: Option<u64>,
}

/// The faults of one model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"model": "iris", "faults": [{"order": {"kind": "delay", "delay_ms": 5, "every": 1, "count_max": 1}, "struck": 0}]}))]
pub struct FaultList {
    /// The model.
    #[schema(example = "iris")]
    pub model: String,
    /// What is ordered.
    pub faults: Vec<FaultState>,
}

/// A fault, and how often it has struck.
#[derive(Debug, Serialize, ToSchema)]
pub struct FaultState {
    /// What was ordered.
    order: FaultOrder,
    /// How often it has struck.
    #[schema(example = 0)]
    struck: u64,
}

const FAULTS_MAX: usize = 16;
const DELAY_MS_MAX: u64 = 600_000;
const MESSAGE_CHARS_MAX: usize = 256;

/// Reads a body.
///
/// # Errors
/// `InvalidInput` with the place of what is wrong.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Fault>> {
    let orders: FaultOrders = serde_json::from_slice(body).map_err(|error| syntax_error(&error, body, NO_NAN))?;
    if orders.faults.len() > FAULTS_MAX {
        let error = Error::invalid("too many faults").at("/faults").expected(format!("at most {FAULTS_MAX}"));
        return Err(error.got(orders.faults.len().to_string()));
    }
    let read = |(index, order): (usize, &FaultOrder)| {
        order.read().map_err(|(member, error)| error.at(format!("/faults/{index}/{member}")))
    };
    orders.faults.iter().enumerate().map(read).collect()
}

/// What is wrong with an order, and in which member.
type Wrong = (&'static str, Error);

impl FaultOrder {
    fn read(&self) -> Result<Fault, Wrong> {
        let version = self.version.as_deref().map(Version::parse).transpose().map_err(|error| ("version", error))?;
        if self.count_max == Some(0) {
            return Err(("count_max", Error::invalid("strikes never").expected("1 or more")));
        }
        Ok(Fault { kind: self.kind()?, version, rate: self.rate()?, count_max: self.count_max })
    }

    fn kind(&self) -> Result<FaultKind, Wrong> {
        let (kind, allowed) = match self.kind.as_str() {
            "delay" => {
                let millis = self.delay_ms.filter(|millis| (1..=DELAY_MS_MAX).contains(millis)).ok_or_else(|| {
                    let error = Error::invalid("a delay needs a length");
                    ("delay_ms", error.expected(format!("1 to {DELAY_MS_MAX} milliseconds")))
                })?;
                (FaultKind::Delay(Duration::from_millis(millis)), "delay_ms")
            }
            "error" => {
                let message = self.message.clone().unwrap_or_else(|| "a fault was ordered: this error".to_owned());
                if message.chars().nth(MESSAGE_CHARS_MAX).is_some() {
                    let error = Error::invalid("the message is too long");
                    return Err(("message", error.expected(format!("at most {MESSAGE_CHARS_MAX} characters"))));
                }
                (FaultKind::Error(message), "message")
            }
            "panic" => (FaultKind::Panic, ""),
            other => {
                let error = Error::invalid("there is no such fault").expected("\"delay\", \"error\" or \"panic\"");
                return Err(("kind", error.got(candor_domain::names::quoted(other))));
            }
        };
        for (member, is_there) in [("delay_ms", self.delay_ms.is_some()), ("message", self.message.is_some())] {
            if is_there && member != allowed {
                return Err((member, Error::invalid(format!("a fault of kind \"{}\" has none", self.kind))));
            }
        }
        Ok(kind)
    }

    fn rate(&self) -> Result<FaultRate, Wrong> {
        match (self.every, self.probability) {
            (Some(_), Some(_)) => {
                Err(("probability", Error::invalid("a fault strikes by count or by chance, not both")))
            }
            (Some(0), None) => Err(("every", Error::invalid("strikes never").expected("1 or more"))),
            (every, None) if self.seed.is_none() => Ok(FaultRate::Every(every.unwrap_or(1))),
            (_, None) => Err(("seed", Error::invalid("only chance has a seed").hint("add a probability"))),
            (None, Some(share)) if share > 0.0 && share <= 1.0 => {
                Ok(FaultRate::Probability(share, self.seed.unwrap_or(0)))
            }
            (None, Some(share)) => {
                let error = Error::invalid("not a probability").expected("a number above 0, at most 1");
                Err(("probability", error.got(share.to_string())))
            }
        }
    }
}

impl From<&LiveFault> for FaultState {
    fn from(live: &LiveFault) -> Self {
        let Fault { kind, version, rate, count_max } = &live.fault;
        let (kind, delay_ms, message) = match kind {
            FaultKind::Delay(span) => ("delay", u64::try_from(span.as_millis()).ok(), None),
            FaultKind::Error(message) => ("error", None, Some(message.clone())),
            FaultKind::Panic => ("panic", None, None),
        };
        let (every, probability, seed) = match rate {
            FaultRate::Every(every) => (Some(*every), None, None),
            FaultRate::Probability(share, seed) => (None, Some(*share), Some(*seed)),
        };
        let version = version.as_ref().map(ToString::to_string);
        let (kind, count_max) = (kind.to_owned(), *count_max);
        let order = FaultOrder { kind, delay_ms, message, version, every, probability, seed, count_max };
        Self { order, struck: live.struck() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(order: &str) -> String {
        read(format!("{{\"faults\": [{order}]}}").as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn orders_are_read() {
        let body = br#"{"faults": [
            {"kind": "delay", "delay_ms": 20, "every": 3, "version": "2"},
            {"kind": "error", "probability": 0.25, "seed": 7, "count_max": 4},
            {"kind": "panic"}]}"#;
        let faults = read(body).unwrap();
        let version = Some(Version::parse("2").unwrap());
        let delay = FaultKind::Delay(Duration::from_millis(20));
        assert_eq!(faults[0], Fault { kind: delay, version, rate: FaultRate::Every(3), count_max: None });
        assert_eq!((faults[1].rate, faults[1].count_max), (FaultRate::Probability(0.25, 7), Some(4)));
        assert_eq!((&faults[2].kind, faults[2].rate), (&FaultKind::Panic, FaultRate::Every(1)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (order, words) in [
            (r#"{"kind": "crash"}"#, "/faults/0/kind: there is no such fault; expected \"delay\", \"error\" or"),
            (r#"{"kind": "delay"}"#, "/faults/0/delay_ms: a delay needs a length; expected 1 to 600000"),
            (r#"{"kind": "delay", "delay_ms": 600001}"#, "/faults/0/delay_ms"),
            (r#"{"kind": "panic", "delay_ms": 1}"#, "/faults/0/delay_ms: a fault of kind \"panic\" has none"),
            (r#"{"kind": "panic", "every": 0}"#, "/faults/0/every: strikes never"),
            (r#"{"kind": "panic", "count_max": 0}"#, "/faults/0/count_max: strikes never"),
            (r#"{"kind": "panic", "every": 2, "probability": 0.5}"#, "/faults/0/probability: a fault strikes by"),
            (r#"{"kind": "panic", "probability": 1.5}"#, "/faults/0/probability: not a probability"),
            (r#"{"kind": "panic", "seed": 1}"#, "/faults/0/seed: only chance has a seed"),
            (r#"{"kind": "panic", "version": "v1"}"#, "/faults/0/version: not a version"),
            (r#"{"kind": "panic", "color": 1}"#, "unknown field `color`"),
        ] {
            let error = wrong(order);
            assert!(error.contains(words), "{error}\nlacks: {words}");
        }
        assert!(wrong(&vec![r#"{"kind": "panic"}"#; 17].join(",")).contains("/faults: too many faults"));
    }
}
