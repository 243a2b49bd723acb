//! The documented shapes of names in paths. Reading does not go through them; a test holds them and the
//! domain's own rules together.

use utoipa::ToSchema;

/// A model's name: letters, digits, `_`, `-` and `.`, beginning with a letter, a digit or `_`.
#[derive(ToSchema)]
#[schema(as = ModelName, pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$", example = "iris")]
pub(crate) struct ModelText(#[allow(dead_code, reason = "read by the derive only")] String);

/// A version: one to four numbers with dots between them, without leading zeros.
#[derive(ToSchema)]
#[schema(as = Version, pattern = "^[1-9][0-9]{0,18}([.](0|[1-9][0-9]{0,18})){0,3}$", example = "1")]
pub(crate) struct VersionText(#[allow(dead_code, reason = "read by the derive only")] String);

/// A state of models and versions.
#[derive(ToSchema)]
#[schema(as = State, rename_all = "snake_case", example = "ready")]
#[allow(dead_code, reason = "read by the derive only")]
pub(crate) enum StateText {
    Discovered,
    Loading,
    Ready,
    Draining,
    Unloaded,
    Failed,
}

/// A plugin's name: a letter, then letters, digits, `-` and `_`.
#[derive(ToSchema)]
#[schema(as = PluginName, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,127}$", example = "acme-scale")]
pub(crate) struct PluginText(#[allow(dead_code, reason = "read by the derive only")] String);

/// A state of a plugin.
#[derive(ToSchema)]
#[schema(as = PluginState, rename_all = "snake_case", example = "ready")]
#[allow(dead_code, reason = "read by the derive only")]
pub(crate) enum PluginStateText {
    Ready,
    Refused,
    Failed,
}

/// A state of a job.
#[derive(ToSchema)]
#[schema(as = JobState, rename_all = "snake_case", example = "running")]
#[allow(dead_code, reason = "read by the derive only")]
pub(crate) enum JobStateText {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// A job's id: `j` and digits.
#[derive(ToSchema)]
#[schema(as = JobId, pattern = "^j[0-9a-f]{18}$", example = "j018bcfe56800000001")]
pub(crate) struct JobText(#[allow(dead_code, reason = "read by the derive only")] String);
