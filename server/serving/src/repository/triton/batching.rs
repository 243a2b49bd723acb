//! `dynamic_batching` of `config.pbtxt`, in the words of `model.toml`'s `[batching]`.
//!
//! Before it: the file, taken apart. After it: the manifest, where that says nothing itself. What only orders Triton's
//! queues is noted and passed over.

use candor_domain::Result;

use super::{
    TritonConfig, at,
    read::{closest_hint, each, flag, line, message, once, whole},
};
use crate::repository::{
    BatchingNotes,
    pbtxt::{Field, Message},
};

const FIELDS: [&str; 7] = [
    "preferred_batch_size",
    "max_queue_delay_microseconds",
    "preserve_ordering",
    "priority_levels",
    "default_priority_level",
    "default_queue_policy",
    "priority_queue_policy",
];
const POLICY_FIELDS: [&str; 4] =
    ["timeout_action", "default_timeout_microseconds", "allow_timeout_override", "max_queue_size"];

/// What the file says of batching.
#[derive(Debug, Clone, Default)]
pub(super) struct Batching {
    preferred: Option<u64>,
    delay_us: Option<u64>,
    levels: Option<u64>,
    level_default: Option<u64>,
    queue_max: Option<u64>,
}

fn unknown(field: &Field, place: &str, known: &[&str]) -> candor_domain::Error {
    let what = format!("{place} has no field '{}'", field.name);
    closest_hint(candor_domain::Error::model(what).at(at(line(field))), &field.name, known)
}

fn number(field: &Field) -> Result<u64> {
    whole(field, 0, i64::MAX).map(i64::unsigned_abs)
}

/// Reads the message, and what of it means nothing here.
pub(super) fn read(dynamic: &Message) -> Result<(Batching, Vec<String>)> {
    let (mut batching, mut notes) = (Batching::default(), Vec::new());
    let (mut delay, mut levels, mut level) = (None, None, None);
    for field in &dynamic.0 {
        let mut pass = |why: &str| notes.push(format!("{}: {} is passed over: {why}", at(line(field)), field.name));
        match field.name.as_str() {
            "preferred_batch_size" => each(field, |item| {
                batching.preferred = batching.preferred.max(Some(number(item)?));
                Ok(())
            })?,
            "max_queue_delay_microseconds" => once(&mut delay, field, number(field)?)?,
            "priority_levels" => once(&mut levels, field, number(field)?)?,
            "default_priority_level" => once(&mut level, field, number(field)?)?,
            "default_queue_policy" => read_policy(message(field)?, &mut batching, &mut notes)?,
            "preserve_ordering" if flag(field)? => pass("answers go out as they are ready"),
            "preserve_ordering" => {}
            "priority_queue_policy" => pass("all levels share one queue"),
            _ => return Err(unknown(field, "dynamic_batching", &FIELDS)),
        }
    }
    batching.delay_us = delay.map(|(delay, _)| delay);
    batching.levels = levels.map(|(levels, _)| levels).filter(|levels| *levels > 0);
    batching.level_default = level.map(|(level, _)| level).filter(|level| *level > 0);
    Ok((batching, notes))
}

fn read_policy(policy: &Message, batching: &mut Batching, notes: &mut Vec<String>) -> Result<()> {
    let mut queue_max = None;
    for field in &policy.0 {
        match field.name.as_str() {
            "max_queue_size" => once(&mut queue_max, field, number(field)?)?,
            known if POLICY_FIELDS.contains(&known) => {
                let why = "a request is given up when its own timeout, or limits.inference_ms_max, is over";
                notes.push(format!("{}: {known} is passed over: {why}", at(line(field))));
            }
            _ => return Err(unknown(field, "default_queue_policy", &POLICY_FIELDS)),
        }
    }
    batching.queue_max = queue_max.map(|(max, _)| max).filter(|max| *max > 0);
    Ok(())
}

/// Puts it into what `model.toml` says, where that says nothing.
pub(super) fn fill(config: &TritonConfig, notes: &mut BatchingNotes) {
    let said = config.batching.clone().map(|(said, _)| said).unwrap_or_default();
    let from = &mut notes.from_triton;
    BatchingNotes::fill(&mut notes.full_batch_rows, from, "full_batch_rows", said.preferred.filter(|rows| *rows > 0));
    BatchingNotes::fill(&mut notes.max_queue_delay_us, from, "max_queue_delay_us", said.delay_us);
    BatchingNotes::fill(&mut notes.priority_levels, from, "priority_levels", said.levels);
    BatchingNotes::fill(&mut notes.default_priority_level, from, "default_priority_level", said.level_default);
    BatchingNotes::fill(&mut notes.queue_max, from, "queue_max", said.queue_max);
    // Triton puts nothing together for a model whose batches it does not know.
    let off = matches!(config.max_batch_size, Some((0, _))).then_some(false);
    BatchingNotes::fill(&mut notes.enabled, from, "enabled", off);
    if config.max_batch_size.is_some_and(|(rows, _)| rows > 0) {
        from.push("batch_rows_max");
    }
}
