//! How many allocations a request costs that stays on its thread: pinned, so that none creeps in.
//!
//! Codec, pipeline and facts, over the null engine, whose own few are among them. After it nothing; it knows no socket.
//! Whoever saves one lowers the number here; whoever needs one more says why.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, sync::Arc, time::Duration};

use actix_web::web::Bytes;
use candor_domain::{Clock, ManualClock, ModelName};
use candor_engine_conformance::NullEngine;
use candor_http_api::{
    HttpLimits,
    wire::{InferCodec, ReplyBody, ReplyEncoding},
};
use candor_serving::{
    Call, Engines, Pipeline, PipelineSettings, Registry, RegistrySettings, Repository, Scheduler, SchedulerSettings,
    oip::TensorLimits,
};
use futures_util::FutureExt as _;

/// What iris takes and gives.
const MODEL: &str = "[[inputs]]\nname = \"features\"\ndatatype = \"FP32\"\ndims = [\"rows\", 4]\n\
    [[outputs]]\nname = \"label\"\ndatatype = \"INT64\"\ndims = [\"rows\"]\n\
    [[outputs]]\nname = \"probabilities\"\ndatatype = \"FP32\"\ndims = [\"rows\", 3]\nconstant = 0.33333334\n";

struct Served {
    pipeline: Pipeline,
    limits: Arc<HttpLimits>,
    _folder: tempfile::TempDir,
}

fn served() -> Served {
    let folder = tempfile::TempDir::new().unwrap();
    let version = folder.path().join("iris").join("1");
    fs::create_dir_all(&version).unwrap();
    fs::write(version.join("model.onnx"), MODEL).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let engines = Engines::one(Arc::new(NullEngine::new()));
    let repository = Repository::open(folder.path(), 1_u64 << 20).unwrap();
    let registry = Registry::start(engines, repository, Arc::clone(&clock), RegistrySettings::default()).unwrap();
    registry.load(ModelName::parse("iris").unwrap(), None).unwrap().wait_blocking().unwrap().unwrap();
    let settings = PipelineSettings {
        inline_body_bytes_max: 1 << 20,
        inline_run_max: Duration::MAX,
        inference_max: Duration::from_secs(60),
    };
    let sessions = Scheduler::start("test", SchedulerSettings::default(), Arc::clone(&clock)).unwrap();
    let pipeline = Pipeline::new(Arc::new(registry), sessions, clock, settings);
    let limits = Arc::new(HttpLimits {
        body_bytes_max: 1 << 20,
        decompressed_bytes_max: 1 << 20,
        body_read_max: Duration::from_secs(1),
        json_depth_max: 100,
        tensors: TensorLimits { elements_max: 1 << 16, rank_max: 8, tensors_max: 256, name_bytes_max: 1024 },
        compress_bytes_min: usize::MAX,
    });
    Served { pipeline, limits, _folder: folder }
}

impl Served {
    /// Answers in one poll: a request that went to the pool would not be ready.
    fn answer(&self, body: &Bytes, head: Option<&str>) -> ReplyBody {
        let codec = InferCodec::new(body.clone(), head, ReplyEncoding::Identity, Arc::clone(&self.limits)).unwrap();
        let reply = self.pipeline.infer(Call { model: "iris", version: None }, codec);
        reply.now_or_never().unwrap().unwrap()
    }

    /// Allocations of one request, once everything is warm.
    fn allocations(&self, body: &[u8], head: Option<&str>) -> u64 {
        let body = Bytes::copy_from_slice(body);
        for _ in 0..100 {
            self.answer(&body, head);
        }
        let spent = allocation_counter::measure(|| {
            for _ in 0..100 {
                self.answer(&body, head);
            }
        });
        assert_eq!(spent.count_current, 0, "requests leave nothing behind");
        assert_eq!(spent.count_total % 100, 0, "each costs the same");
        spent.count_total / 100
    }
}

#[test]
fn a_request_costs_so_many_allocations_and_no_more() {
    let served = served();
    let json = br#"{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}"#;
    let head =
        br#"{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}],
        "parameters":{"binary_data_output":true}}"#;
    let binary = [head.as_slice(), &[0; 16]].concat();
    assert!(
        served
            .answer(&Bytes::from_static(json), None)
            .bytes
            .ends_with(b"\"data\":[0.33333334,0.33333334,0.33333334]}]}")
    );
    assert_eq!(served.allocations(json, None), 10, "JSON");
    assert_eq!(served.allocations(&binary, Some(&head.len().to_string())), 10, "tensors in bytes");
}
