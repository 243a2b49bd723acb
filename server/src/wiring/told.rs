//! What each room is told of the settings.
//!
//! Before it: settings that have been checked; after it: the rooms, which know no configuration.

use std::{path::Path, sync::Arc};

use candor_domain::{Error, Result};
use candor_serving::{
    Faults, FindingsSettings, PipelineSettings, RegistrySettings, SchedulerSettings, Tokens,
    residency::ResidencySettings,
};

use super::engines::before_load;
use crate::{config::Settings, data::DataFolder, priority, side_door::Place};

/// The threads that run dear inferences, and what each does first. Where they step back, as many stand behind them, for
/// models that are hardly ever idle.
pub(super) fn scheduling(settings: &Settings) -> SchedulerSettings {
    let scheduling = settings.scheduling.clone();
    if !settings.threads.pool_steps_back {
        return scheduling;
    }
    let back_threads = if priority::STEPS { scheduling.threads } else { 0 };
    let (before_work, before_back_work) =
        (priority::run_steps_back as fn(), priority::ceaseless_run_steps_back as fn());
    SchedulerSettings { before_work, back_threads, before_back_work, ..scheduling }
}

/// What the way of a request is told.
pub(super) fn pipeline_settings(settings: &Settings) -> PipelineSettings {
    PipelineSettings {
        inline_body_bytes_max: settings.inline_body_bytes_max,
        inline_run_max: settings.inline_run_max,
        inference_max: settings.inference_max,
    }
}

/// Where gRPC is to be.
pub(crate) fn grpc_place(settings: &Settings) -> Place<'_> {
    Place {
        what: "gRPC",
        addrs: &settings.grpc.addrs,
        is_chosen: settings.grpc.addr_is_chosen,
        other: "--grpc-addr, or switch gRPC off with --grpc-addr off",
    }
}

/// Where the health listener is to be.
pub(crate) fn health_place(settings: &Settings) -> Place<'_> {
    Place {
        what: "health listener",
        addrs: &settings.health.addrs,
        is_chosen: settings.health.addr_is_chosen,
        other: "--health-addr, or do without the listener with --health-addr off",
    }
}

/// What the registry is told.
pub(super) fn registry_settings(settings: &Settings, faults: Option<Arc<Faults>>) -> RegistrySettings {
    RegistrySettings {
        version_policy: settings.version_policy.clone(),
        load_threads: settings.threads.load,
        before_load: before_load(settings),
        before_later_load: if settings.threads.load_steps_back { priority::load_leaves_a_core } else { || () },
        inference_threads: settings.threads.inference(),
        inflight_max: settings.inflight_max,
        batching: settings.batching.clone(),
        pool_threads: settings.threads.pool,
        call_depth_max: settings.call_depth_max,
        overload: settings.overload,
        breaker: settings.breaker,
        faults,
        engine_record: settings.data_dir.as_deref().map(DataFolder::engine_record),
        cross_check: settings.cross_check.clone(),
        residency: settings.residency.bound.clone().map(|residency| {
            let weights = settings.data_dir.as_deref().map(DataFolder::weights);
            ResidencySettings { weights, ..residency }
        }),
        result_cache: settings.residency.results.clone(),
        lazy: settings.residency.lazy,
        trim: Some(candor_engine_ort::trim),
        findings: settings.data_dir.as_deref().map(|folder| FindingsSettings {
            path: DataFolder::findings(folder),
            machine: format!("{}; {} threads", candor_engine_ort::processor(), settings.threads.intra_op),
            golden_nanos: u64::try_from(settings.residency.cold_start.golden.as_nanos()).unwrap_or(u64::MAX),
        }),
    }
}

pub(crate) fn read_tokens(path: &Path) -> Result<Tokens> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("the tokens file {shown} cannot be read: {error}")))?;
    Tokens::parse(&text).map_err(|error| Error::invalid(format!("the tokens file {shown}: {error}")))
}
