//! Codec and pipeline in this process: what Candor adds before any socket.
//!
//! The models here have the signatures of the real ones and the null engine behind them. The codec is the
//! HTTP door's own. Requests never go to the pool, so a poll of the future is the whole request.

use std::{
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use crate::{
    cases::{Case, Format},
    timer::RealClock,
    usage::{Cost, measure},
};
use actix_web::web::Bytes;
use anyhow::{Context as _, Result, bail};
use candor_domain::{Clock, ModelName, Phase, Tensor};
use candor_engine_conformance::NullEngine;
use candor_http_api::{
    HttpLimits,
    wire::{InferCodec, ReplyBody, ReplyEncoding},
};
use candor_serving::{
    BreakerDefaults, Call, Codec as _, Engines, Lease, Pipeline as Serving, PipelineSettings, Ran, Registry,
    RegistrySettings, Repository, Scheduler, SchedulerSettings,
};

/// A pipeline over null models.
pub struct Pipeline {
    serving: Serving,
    registry: Arc<Registry>,
    limits: Arc<HttpLimits>,
    clock: Arc<dyn Clock>,
}

impl Pipeline {
    /// Loads null models of these names from the folder, with breakers or without.
    pub fn start(models: &[&str], folder: &Path, breaker: bool) -> Result<Self> {
        let names: Vec<ModelName> = models.iter().map(|name| Ok(ModelName::parse(name)?)).collect::<Result<_>>()?;
        let clock: Arc<dyn Clock> = Arc::new(RealClock::start());
        let repository = Repository::open(folder, u64::MAX)?;
        let breaker = BreakerDefaults { enabled: breaker, ..BreakerDefaults::default() };
        let settings =
            RegistrySettings { inference_threads: 2, inflight_max: 4096, breaker, ..RegistrySettings::default() };
        let engines = Engines::one(Arc::new(NullEngine::new()));
        let registry = Registry::start(engines, repository, Arc::clone(&clock), settings);
        let registry = Arc::new(registry.context("no thread for the registry")?);
        for name in names {
            registry.load(name, None)?.wait_blocking().context("a null model was not loaded")??;
        }
        // Everything stays on this thread, however long the scheduler lets a run take.
        let settings = PipelineSettings {
            inline_body_bytes_max: usize::MAX,
            inline_run_max: Duration::MAX,
            inference_max: Duration::from_secs(60),
        };
        let sessions = Scheduler::start("null", SchedulerSettings::default(), Arc::clone(&clock));
        let sessions = sessions.context("no thread for the pool")?;
        let serving = Serving::new(Arc::clone(&registry), sessions, Arc::clone(&clock), settings);
        let mut defaults = candor::config::Layers::default();
        let settings = candor::config::Settings::read(&mut defaults);
        let limits = settings.map_err(|report| anyhow::anyhow!("{report}"))?.http_limits;
        Ok(Self { serving, registry, limits: Arc::new(limits), clock })
    }

    fn lease(&self, case: &Case) -> Result<Lease> {
        Ok(self.registry.lease(&case.model, None)?)
    }

    fn codec(&self, body: &Bytes, head: Option<&str>) -> Result<InferCodec> {
        Ok(InferCodec::new(body.clone(), head, ReplyEncoding::Identity, Arc::clone(&self.limits))?)
    }

    /// What a run gave whose time nobody asks for.
    fn ran<'a>(&'a self, version: &'a Lease, outputs: Vec<Tensor>) -> Ran<'a> {
        Ran {
            version,
            fallback_from: None,
            outputs,
            nanos: [None; Phase::ALL.len()],
            laps: &[],
            batch: None,
            cache: None,
            clock: &*self.clock,
        }
    }

    /// The reply that the door would write for these outputs.
    pub fn reply(&self, case: &Case, format: Format, outputs: Vec<Tensor>) -> Result<ReplyBody> {
        let lease = self.lease(case)?;
        let (body, head) = wire(case, format);
        let mut codec = self.codec(&body, head.as_deref())?;
        codec.decode(&lease)?;
        Ok(codec.encode(self.ran(&lease, outputs))?)
    }

    /// What decoding and encoding cost, and a copy of the outputs, which encoding takes away.
    pub fn measure_codec(&self, case: &Case, format: Format, outputs: &[Tensor], span: Duration) -> Result<Cost> {
        let lease = self.lease(case)?;
        let (body, head) = wire(case, format);
        measure(span, || {
            let mut codec = self.codec(&body, head.as_deref())?;
            std::hint::black_box(codec.decode(&lease)?);
            std::hint::black_box(codec.encode(self.ran(&lease, outputs.to_vec()))?);
            Ok(())
        })
    }

    /// What a whole request costs with the null engine.
    pub fn measure_null(&self, case: &Case, format: Format, span: Duration) -> Result<Cost> {
        let (body, head) = wire(case, format);
        let mut context = TaskContext::from_waker(Waker::noop());
        measure(span, || {
            let codec = self.codec(&body, head.as_deref())?;
            let reply = pin!(self.serving.infer(Call { model: &case.model, version: None }, codec));
            let Poll::Ready(reply) = reply.poll(&mut context) else {
                bail!("a null request went to the pool");
            };
            std::hint::black_box(reply?);
            Ok(())
        })
    }
}

/// The body as the door gets it, and the header with the length of its JSON part.
fn wire(case: &Case, format: Format) -> (Bytes, Option<String>) {
    let head = case.head_bytes(format).map(|bytes| bytes.to_string());
    (Bytes::copy_from_slice(case.body(format)), head)
}
