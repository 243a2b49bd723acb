//! Copies of files: made after a load that went well, used by the next one, and proved by less where all was proved.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use candor_domain::{Cancel, Copies, Engine, EngineInfo, FoundCopy, LoadedModel, ModelSource, Session, Tensor};

use super::*;
use crate::{
    registry::findings::FindingsSettings,
    residency::{ResidencySettings, policy::Policy},
};

/// The null engine, with copies that are what they copy. They outlive it, as files would.
struct Copying {
    inner: NullEngine,
    kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    recalled: Arc<Mutex<Vec<String>>>,
    clock: Arc<ManualClock>,
}

/// How long each run takes. Golden pairs that are known may take less.
const RUN: Duration = Duration::from_millis(30);

/// A session that takes its time.
struct Slow(Box<dyn Session>, Arc<ManualClock>);

impl Session for Slow {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        self.1.advance(RUN);
        self.0.run(inputs, wanted, cancel)
    }
}

impl Engine for Copying {
    fn info(&self) -> &EngineInfo {
        self.inner.info()
    }

    fn load(&self, source: ModelSource<'_>) -> Result<LoadedModel> {
        let loaded = self.inner.load(source)?;
        Ok(LoadedModel { session: Box::new(Slow(loaded.session, Arc::clone(&self.clock))), ..loaded })
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}

struct Found<'a>(&'a Copying);

impl FoundCopy for Found<'_> {
    fn load(self: Box<Self>, sha256: &str) -> Option<LoadedModel> {
        let bytes = self.0.kept.lock().unwrap().get(sha256).cloned()?;
        self.0.recalled.lock().unwrap().push(sha256.to_owned());
        self.0.load(ModelSource { bytes: &bytes, folder: Path::new(".") }).ok()
    }
}

impl Copies for Copying {
    fn look(&self, file_bytes: u64, sha256: Option<&str>) -> Option<Box<dyn FoundCopy + '_>> {
        let fits = |(own, bytes): (&String, &Vec<u8>)| {
            bytes.len() as u64 == file_bytes && sha256.is_none_or(|sha256| sha256 == own)
        };
        let is_there = self.kept.lock().unwrap().iter().any(fits);
        is_there.then(|| Box::new(Found(self)) as Box<dyn FoundCopy>)
    }

    fn wants(&self, sha256: &str, _: u64) -> bool {
        !self.kept.lock().unwrap().contains_key(sha256)
    }

    fn keep(&self, source: ModelSource<'_>, sha256: &str) -> Result<()> {
        assert_eq!(sha256_of(source.bytes), sha256);
        self.kept.lock().unwrap().insert(sha256.to_owned(), source.bytes.to_vec());
        Ok(())
    }

    fn beside_bytes(&self, _: u64) -> u64 {
        0
    }
}

/// A folder of models, the copies and the findings that outlive registries over it.
struct Den {
    world: World,
    kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    recalled: Arc<Mutex<Vec<String>>>,
    clock: Arc<ManualClock>,
    data: tempfile::TempDir,
}

impl Den {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        Self { world: World::new(), kept: Arc::default(), recalled: Arc::default(), clock: Arc::default(), data }
    }

    fn registry(&self, residency: Option<ResidencySettings>) -> Registry {
        self.registry_with(RegistrySettings { residency, ..RegistrySettings::default() })
    }

    fn registry_with(&self, settings: RegistrySettings) -> Registry {
        let inner = NullEngine::with_hooks(self.world.hooks.clone());
        let (kept, recalled, clock) = (Arc::clone(&self.kept), Arc::clone(&self.recalled), Arc::clone(&self.clock));
        let engine = Copying { inner, kept, recalled, clock };
        let findings = FindingsSettings {
            path: self.data.path().join("findings.json"),
            machine: "this one".to_owned(),
            golden_nanos: 1,
        };
        let settings = RegistrySettings { findings: Some(findings), ..settings };
        let repository = Repository::open(self.world.folder.path(), 1 << 20).unwrap();
        Registry::start(Engines::one(Arc::new(engine)), repository, self.clock.clone(), settings).unwrap()
    }

    fn load_all(registry: &Registry) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(registry.load_all()).unwrap();
    }

    fn wait_for_copies(&self, wanted: usize) {
        for _ in 0..2000 {
            if self.kept.lock().unwrap().len() == wanted {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("there are no {wanted} copies");
    }
}

#[test]
fn a_copy_is_made_after_the_first_round_and_stands_for_the_same_file_alone() {
    let den = Den::new();
    den.world.put("iris/1", "iris", 7);
    let first = den.registry(None);
    first.load(name("iris"), None).unwrap().wait_blocking().unwrap().unwrap();
    assert_eq!(den.kept.lock().unwrap().len(), 0, "so long the processors are for the first round");
    first.start_empty();
    den.wait_for_copies(1);
    let digest = first.lease("iris", None).unwrap().sha256.clone();
    drop(first);

    let second = den.registry(None);
    Den::load_all(&second);
    assert_eq!(*den.recalled.lock().unwrap(), std::slice::from_ref(&digest));
    let lease = second.lease("iris", None).unwrap();
    assert_eq!((answer(&lease), &lease.sha256), ((7, "iris".to_owned()), &digest));
    assert!(lease.is_copy);
    assert_eq!(lease.file_bytes, fs::read(den.world.path("iris/1/model.onnx")).unwrap().len() as u64);
    drop((lease, second));

    // Another file of the same size is another file.
    let text = fs::read_to_string(den.world.path("iris/1/model.onnx")).unwrap();
    den.world.write("iris/1/model.onnx", &text.replace("constant = 7", "constant = 8"));
    let third = den.registry(None);
    Den::load_all(&third);
    let lease = third.lease("iris", None).unwrap();
    assert_eq!((answer(&lease).0, lease.is_copy), (8, false));
    drop(lease);
    assert_eq!(den.recalled.lock().unwrap().len(), 1);
    den.wait_for_copies(2);
}

#[test]
fn a_session_that_had_to_leave_comes_back_from_its_copy() {
    let den = Den::new();
    for (place, model) in ["a", "b"].iter().enumerate() {
        den.world.put(&format!("{model}/1"), model, place + 1);
        den.world.write(&format!("{model}/model.toml"), "[residency]\nbytes = 50\n");
    }
    let residency = ResidencySettings {
        budget: 100,
        policy: Policy::Gdsf,
        idle_ttl: None,
        load_wait_max: Duration::from_secs(20),
        weights: None,
    };
    let registry = den.registry(Some(residency.clone()));
    Den::load_all(&registry);
    // Both take all the room that there is, and nobody has to leave for a copy.
    registry.load(name("a"), None).unwrap().wait_blocking().unwrap().unwrap();
    assert!(registry.lease("a", None).unwrap().is_resident() && registry.lease("b", None).unwrap().is_resident());
    drop(registry);
    let registry = den.registry(Some(ResidencySettings { budget: 150, ..residency.clone() }));
    Den::load_all(&registry);
    den.wait_for_copies(2);
    drop(registry);
    den.recalled.lock().unwrap().clear();
    let registry = den.registry(Some(ResidencySettings { budget: 50, ..residency }));
    Den::load_all(&registry);
    let loaded = den.recalled.lock().unwrap().len();
    assert_eq!(loaded, 2, "the second has put out the first");
    let totals = registry.residency().unwrap().totals;
    assert!(totals.reserved_bytes_peak <= 50, "{totals:?}");
}

#[test]
fn what_was_proved_is_not_proved_again_from_a_copy_but_the_smallest_pair_is() {
    let den = Den::new();
    den.world.put("slow/1", "slow", 7);
    let pair = |pair: &str, rows: usize, wrong: bool| {
        let (zeros, sevens) =
            (vec!["0.0"; 2 * rows].join(","), vec![if wrong { "9" } else { "7" }; 3 * rows].join(","));
        format!(
            "{{\"name\":\"{pair}\",\"inputs\":[{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[{rows},2],\"data\":[{zeros}]}}],\
             \"outputs\":[{{\"name\":\"y\",\"datatype\":\"INT64\",\"shape\":[{rows},3],\"data\":[{sevens}]}}]}}"
        )
    };
    let golden = |cases: [String; 2]| {
        den.world.write("slow/1/golden.json", &format!("{{\"tolerance\":1e-6,\"cases\":[{}]}}", cases.join(",")));
    };
    golden([pair("many", 3, false), pair("one", 1, false)]);
    let runs = || den.world.hooks.runs("slow");
    let first = den.registry(None);
    Den::load_all(&first);
    let all = runs();
    assert!(all > 6, "two pairs, warm-up, rows alone and together: {all}");
    let plan = format!("{:?}", first.lease("slow", None).unwrap().lane().plan().invariance);
    den.wait_for_copies(1);
    drop(first);

    let second = den.registry(None);
    Den::load_all(&second);
    assert_eq!(runs() - all, 1, "the smallest pair");
    let lease = second.lease("slow", None).unwrap();
    assert_eq!(format!("{:?}", lease.lane().plan().invariance), plan, "what was measured still holds");
    assert_eq!(lease.facts().run_nanos_per_row(), u64::try_from(RUN.as_nanos()).unwrap() / 3);
    drop((lease, second));

    // Other pairs have not been proved.
    golden([pair("many", 3, true), pair("one", 1, false)]);
    let third = den.registry(None);
    Den::load_all(&third);
    let error = third.lease("slow", None).unwrap_err().to_string();
    assert!(error.contains("golden case 'many' failed"), "{error}");
}

#[test]
fn what_the_start_leaves_is_given_back_when_its_copies_are_made() {
    static TRIMMED: AtomicUsize = AtomicUsize::new(0);
    fn trim() -> bool {
        TRIMMED.fetch_add(1, SeqCst);
        true
    }
    let den = Den::new();
    den.world.put("iris/1", "iris", 7);
    let registry = den.registry_with(RegistrySettings { trim: Some(trim), ..RegistrySettings::default() });
    registry.load(name("iris"), None).unwrap().wait_blocking().unwrap().unwrap();
    assert_eq!(TRIMMED.load(SeqCst), 0);
    registry.start_empty();
    for _ in 0..2000 {
        if TRIMMED.load(SeqCst) > 0 {
            assert_eq!(den.kept.lock().unwrap().len(), 1);
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing was given back");
}
