//! The registry against the null engine: real files, real load threads, gates instead of sleeps.
//!
//! | module | what it tests |
//! |---|---|
//! | `beside` | what lies beside the graph, on its way into a ready version |
//! | `copies` | copies of files that engines keep, and what is not proved twice |
//! | `loading` | what a load, an unload and a poll make of a folder, and what they say when they cannot |
//! | `residency` | sessions that come and go within a budget |
//! | `leasing` | leases through swaps and drains, with one thread, with several, and at random |

mod beside;
mod copies;
mod leasing;
mod loading;
mod residency;

use std::{fs, path::PathBuf, sync::Arc};

use candor_domain::{Lifecycle, ManualClock};
use candor_engine_conformance::{Hooks, NullEngine};

use super::*;

/// A repository in a folder of its own, and a registry over it.
struct World {
    folder: tempfile::TempDir,
    hooks: Hooks,
    registry: Registry,
    puts: std::cell::Cell<usize>,
}

impl World {
    fn new() -> Self {
        Self::with_policy("latest")
    }

    fn with_policy(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hooks = Hooks::default();
        let settings = RegistrySettings {
            version_policy: VersionPolicy::parse(policy).unwrap(),
            load_threads: 2,
            inference_threads: 2,
            ..RegistrySettings::default()
        };
        let repository = Repository::open(folder.path(), 1 << 20).unwrap();
        let engines = Engines::one(Arc::new(NullEngine::with_hooks(hooks.clone())));
        let registry = Registry::start(engines, repository, Arc::new(ManualClock::default()), settings).unwrap();
        Self { folder, hooks, registry, puts: std::cell::Cell::new(0) }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts a model file that answers `constant`, with `key` for the hooks. No two are equally long, so
    /// that a coarse file time cannot make two of them look the same.
    fn put(&self, version: &str, key: &str, constant: usize) {
        self.put_with(version, key, constant, "");
    }

    fn put_with(&self, version: &str, key: &str, constant: usize, head: &str) {
        self.puts.set(self.puts.get() + 1);
        let pad = "#".repeat(self.puts.get());
        let text = format!(
            "key = \"{key}\"\n{head}\n\
             [[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\", 2]\n\
             [[outputs]]\nname = \"y\"\ndatatype = \"INT64\"\ndims = [\"rows\", 3]\nconstant = {constant}\n{pad}\n"
        );
        self.write(&format!("{version}/model.onnx"), &text);
    }

    fn load(&self, model: &str) -> Result<()> {
        self.registry.load(name(model), None).unwrap().wait_blocking().unwrap()
    }

    fn unload(&self, model: &str) -> Result<()> {
        self.registry.unload(name(model)).unwrap().wait_blocking().unwrap()
    }

    fn poll(&self) {
        self.registry.poll().unwrap().wait_blocking().unwrap().unwrap();
    }

    fn ready(&self, model: &str) -> Vec<String> {
        self.registry.ready_versions(model).iter().map(ToString::to_string).collect()
    }

    /// State and reason of one version; `""` stands for the model as a whole.
    fn state(&self, model: &str, version: &str) -> (Lifecycle, String) {
        let entries = self.registry.index().unwrap();
        let found = entries.into_iter().find(|entry| {
            entry.model.as_str() == model && entry.version.as_ref().map_or("", Version::as_str) == version
        });
        let entry = found.unwrap_or_else(|| panic!("{model}/{version} is not in the index"));
        (entry.state, entry.reason)
    }

    /// The versions of a model in the index; `""` stands for the model as a whole.
    fn versions(&self, model: &str) -> Vec<String> {
        let entries = self.registry.index().unwrap().into_iter().filter(|entry| entry.model.as_str() == model);
        entries.map(|entry| entry.version.map_or(String::new(), |version| version.to_string())).collect()
    }

    fn is_told(&self, model: &str) -> bool {
        !self.versions(model).is_empty()
    }

    fn refusal(&self, model: &str, version: Option<&str>) -> Error {
        self.registry.lease(model, version).expect_err("a lease was given")
    }

    /// Returns when everything that has begun to leave memory is booked as gone: departures are booked one
    /// after the other, so when the sentinel has left, those before it are in the book. The sentinel's own
    /// line may still be on its way.
    fn settle(&self) {
        self.put("sentinel/1", "sentinel", 0);
        self.load("sentinel").unwrap();
        self.unload("sentinel").unwrap();
        assert!(self.hooks.wait_for_live_of("sentinel", 0));
        fs::remove_dir_all(self.path("sentinel")).unwrap();
    }
}

fn name(raw: &str) -> ModelName {
    ModelName::parse(raw).unwrap()
}

/// What a lease's session answers, and the key of its file.
fn answer(lease: &Lease) -> (i64, String) {
    use candor_domain::{Shape, Tensor, TensorData};
    let input = Tensor::new(Shape::new(&[1, 2]).unwrap(), TensorData::Fp32(vec![0.0; 2])).unwrap();
    let outputs = lease.session().run(&[input], &[0], None).unwrap();
    let TensorData::Int64(values) = outputs[0].data() else { panic!("not INT64") };
    assert!(values.iter().all(|value| *value == values[0]) && values.len() == 3, "{values:?}");
    (values[0], lease.properties["key"].clone())
}
