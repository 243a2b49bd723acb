//! One plugin, built by many compilers, in hosts of two ages, in this process and in one of its own: each answers alike.
//!
//! `sdk/contract` has the plugin in C, in C++, in Rust with the SDK and without. Every run tries it in C and in Rust;
//! `cargo xtask test --only matrix` builds it with all compilers that it can get, and asks for one cell after the other.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
    time::Duration,
};

use candor_domain::{
    Cancel, ManualClock,
    error::{ErrorCode, Result},
    tensor::{Shape, Tensor, TensorData},
};
use candor_plugin_host::{
    Age, AllowList, CallContext, CallLimits, Isolated, Isolation, Live, Pin, Verdict, WorkerProgram, WorkerSettings,
};

use super::support::{Bench, Ears, ROOT, cargo_built, compile, floats, library, pin, ship};

const ID: &str = "test.contract";
const COLUMNS: [(Age, Isolation); 4] = [
    (Age::Oldest, Isolation::Inproc),
    (Age::Oldest, Isolation::Process),
    (Age::Today, Isolation::Inproc),
    (Age::Today, Isolation::Process),
];

/// Where the plugin runs.
enum Place {
    Here(Arc<Live>, Age),
    Apart(Box<Isolated>),
}

fn open(bench: &Bench, folder: &Path, age: Age, isolation: Isolation, config: &str) -> Verdict<Place> {
    let allow = vec![Pin { isolation, ..pin(&library(folder, "contract"), "contract") }];
    let host = bench.host(AllowList { dev: false, allow }).aged(age);
    if isolation == Isolation::Inproc {
        return Ok(Place::Here(host.load(folder)?.open(ID, config)?, age));
    }
    let program = WorkerProgram { program: env!("CARGO_BIN_EXE_plugin-worker-under-test").into(), arguments: vec![] };
    let limit = Duration::from_secs(60);
    let settings = WorkerSettings { age, deadline: limit, start: limit, ..WorkerSettings::default() };
    let around = (Arc::new(Ears(Arc::clone(&bench.heard))) as _, Arc::new(ManualClock::default()) as _);
    Ok(Place::Apart(Box::new(host.isolate(folder, (ID, config), program, settings, around)?)))
}

impl Place {
    fn call(&self) -> CallContext {
        let age = if let Self::Here(_, age) = self { *age } else { Age::Today };
        let mut call = CallContext::new_as(CallLimits::default(), age);
        call.set_request("a request", "{}");
        call
    }

    fn ask(&self, name: &str, tensor: &Tensor) -> Result<Vec<(String, Tensor)>> {
        match self {
            Self::Here(live, _) => live.healthy().unwrap().infer(&mut self.call(), &[(name, tensor)]),
            Self::Apart(isolated) => isolated.infer(&[(name, tensor)], None),
        }
    }

    /// A call that somebody leaves while it waits.
    fn left(&self) -> Result<Vec<(String, Tensor)>> {
        let one = floats(&[1], &[0.0]);
        match self {
            Self::Here(live, _) => {
                let mut call = self.call();
                let flag = call.cancel_flag();
                thread::scope(|scope| {
                    scope.spawn(|| flag.store(1, Ordering::Relaxed));
                    live.instance().infer(&mut call, &[("wait", &one)])
                })
            }
            Self::Apart(isolated) => {
                let cancel = Cancel::default();
                thread::scope(|scope| {
                    scope.spawn(|| cancel.cancel());
                    isolated.infer(&[("wait", &one)], Some(&cancel))
                })
            }
        }
    }

    fn described(&self) -> Option<String> {
        match self {
            Self::Apart(isolated) => isolated.described(),
            Self::Here(live, _) => {
                let json = live.instance().describe(&mut self.call()).unwrap()?;
                Some(String::from_utf8(json).unwrap())
            }
        }
    }
}

fn integers(values: &[i64]) -> Tensor {
    let shape = Shape::new(&[i64::try_from(values.len()).unwrap()]).unwrap();
    Tensor::new(shape, TensorData::Int64(values.to_vec())).unwrap()
}

/// What holds in every cell.
fn contract(folder: &Path, age: Age, isolation: Isolation) {
    let bench = Bench::new();
    let place = open(&bench, folder, age, isolation, r#"{"factor": 2}"#).unwrap();
    let shapes: [&[i64]; 6] = [&[], &[1], &[2, 3], &[0, 4], &[3, 0], &[1, 2, 1, 2]];
    for shape in shapes {
        let count = usize::try_from(shape.iter().product::<i64>()).unwrap();
        let x: Vec<f32> = [1.5_f32, -2.0, 0.25, 4.0, 5.0, -6.5].into_iter().take(count).collect();
        let twice: Vec<f32> = x.iter().map(|x| x * 2.0).collect();
        let expected = [
            ("y".to_owned(), floats(shape, &twice)),
            ("rank".to_owned(), integers(&[i64::try_from(shape.len()).unwrap()])),
        ];
        assert_eq!(place.ask("x", &floats(shape, &x)).unwrap(), expected, "{shape:?}");
    }
    let words = TensorData::Bytes(["one", "", "drei ä"].iter().collect());
    let words = Tensor::new(Shape::new(&[3]).unwrap(), words).unwrap();
    assert_eq!(place.ask("words", &words).unwrap(), [("words".to_owned(), words)]);

    let one = floats(&[1], &[1.0]);
    let error = place.ask("z", &one).unwrap_err();
    assert!(error.code() == ErrorCode::InvalidInput && error.to_string().contains("expected x, words"), "{error}");
    let error = place.ask("x", &integers(&[1])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{error}");

    // Only what a host says that it has is touched: the rest of an oldest one is poison.
    let here = isolation == Isolation::Inproc;
    let seen = if age == Age::Today { [1, i64::from(here), 1] } else { [0, 0, 0] };
    assert_eq!(place.ask("seen", &one).unwrap()[0].1, integers(&seen));
    assert_eq!(place.described().is_some_and(|json| json.contains(r#""name":"x""#)), age == Age::Today);

    // Nothing that a plugin throws comes further than its own border; the next call is answered.
    for _ in 0..2 {
        let error = place.ask("panic", &one).unwrap_err();
        assert!(error.code() == ErrorCode::EngineFailed && error.to_string().contains("as asked"), "{error}");
        assert!(place.ask("x", &one).is_ok());
    }
    assert_eq!(place.left().unwrap_err().code(), ErrorCode::Cancelled);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| assert_eq!(place.ask("x", &one).unwrap().len(), 2)));
        }
    });
    if let Place::Apart(isolated) = &place {
        assert_eq!(isolated.started(), 1, "its process has lived through all of this");
    }
    assert!(Mutex::lock(&bench.heard.lines).unwrap().iter().any(|(_, line)| line == "contract: made"));
    for (config, says) in [(r#"{"factor": 0}"#, "`factor` is 0"), (r#"{"factor": "x"}"#, "at `/factor`")] {
        let fresh = Bench::new();
        let refusal = open(&fresh, folder, age, isolation, config).err().unwrap().to_string();
        assert!(refusal.contains(says), "{config}: {refusal}");
    }
}

/// The plugin's folder, as it would be shipped.
fn shipped(bench: &Bench, put: impl FnOnce(&Path)) -> PathBuf {
    let folder = bench.temp.path().join("contract");
    put(&folder);
    fs::copy(Path::new(ROOT).join("sdk/contract/plugin.toml"), folder.join("plugin.toml")).unwrap();
    folder
}

#[test]
fn the_plugin_in_c_keeps_the_contract_in_every_host() {
    let bench = Bench::new();
    let source = Path::new(ROOT).join("sdk/contract/contract.c");
    let folder = shipped(&bench, |folder| compile(&source, &library(folder, "contract"), &["-Wl,-z,noexecstack"]));
    COLUMNS.into_iter().for_each(|(age, isolation)| contract(&folder, age, isolation));
}

#[test]
fn the_plugin_in_rust_keeps_the_contract_in_every_host() {
    let bench = Bench::new();
    let built = cargo_built("candor-plugin-contract", "contract");
    let folder = shipped(&bench, |folder| ship(&built, folder, "contract"));
    COLUMNS.into_iter().for_each(|(age, isolation)| contract(&folder, age, isolation));
}

/// Without this the columns of the oldest host would say nothing.
#[test]
fn a_plugin_that_touches_what_the_oldest_host_has_not_ends_its_process() {
    let bench = Bench::new();
    let source = Path::new(ROOT).join("sdk/contract/contract.c");
    let flags = ["-Wl,-z,noexecstack", "-DTRUSTS_HOST"];
    let folder = shipped(&bench, |folder| compile(&source, &library(folder, "contract"), &flags));
    let ask = |age, name| {
        let fresh = Bench::new();
        // It may end when it is asked what it takes, too.
        open(&fresh, &folder, age, Isolation::Process, r#"{"factor": 2}"#).ok()?.ask(name, &floats(&[1], &[1.0])).ok()
    };
    for name in ["x", "seen"] {
        assert!(ask(Age::Today, name).is_some(), "{name}");
        assert!(ask(Age::Oldest, name).is_none(), "{name}");
    }
}

/// One cell: the folder of a plugin, the host's age, and where. A cell that crashes takes down its own process.
#[test]
#[ignore = "`cargo xtask test --only matrix` names the cell"]
#[allow(clippy::disallowed_methods, reason = "whoever runs it names the cell")]
fn a_cell() {
    let folder = PathBuf::from(env::var_os("CANDOR_CELL_FOLDER").expect("the plugin's folder"));
    let (age, isolation) = (env::var("CANDOR_CELL_HOST").unwrap(), env::var("CANDOR_CELL_PLACE").unwrap());
    let age = if age == "oldest" { Age::Oldest } else { Age::Today };
    let isolation = if isolation == "process" { Isolation::Process } else { Isolation::Inproc };
    contract(&folder, age, isolation);
}
