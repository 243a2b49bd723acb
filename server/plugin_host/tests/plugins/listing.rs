//! The catalog: every plugin stands in it with its state and why; components are opened by id wherever they run; a
//! reload changes all or nothing.

use std::{fs, path::Path, sync::Arc, time::Duration};

use candor_domain::{
    Component as _, ComponentCall, ComponentKind, ComponentRequest, Components as _, ManualClock, ModelFiles,
    PluginPlace, PluginState, Plugins as _,
    error::{Error, ErrorCode, Result},
    tensor::TensorData,
};
use candor_plugin_host::{
    AllowList, BuiltIn, Catalog, CatalogSettings, HostSettings, Isolation, Opened, Pin, WorkerProgram,
};

use super::support::{Bench, Ears, c_example, compile, floats, library, pin, set_mode};

const CENTER: BuiltIn = BuiltIn { name: "center", module: &candor_example_center::MODULE };

struct NoFiles;

impl ModelFiles for NoFiles {
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        Err(Error::new(ErrorCode::NotFound, name.to_owned()))
    }
}

fn catalog(bench: &Bench, allow: AllowList, clock: &Arc<ManualClock>) -> Catalog {
    catalog_of(bench, allow, clock, Duration::from_secs(60))
}

fn catalog_of(bench: &Bench, allow: AllowList, clock: &Arc<ManualClock>, start_max: Duration) -> Catalog {
    let store = bench.temp.path().join("store");
    let settings = CatalogSettings {
        folder: Some(bench.temp.path().to_path_buf()),
        host: HostSettings { allow, store, generations_max: 3 },
        worker: WorkerProgram { program: env!("CARGO_BIN_EXE_plugin-worker-under-test").into(), arguments: vec![] },
        start_max,
    };
    Catalog::start(settings, &[CENTER], Arc::new(Ears(Arc::clone(&bench.heard))), Arc::clone(clock) as _)
}

fn pinned(folder: &Path, isolation: Isolation) -> AllowList {
    let pin = Pin { isolation, deadline_ms: 20_000, ..pin(&library(folder, "odd"), "odd") };
    AllowList { dev: false, allow: vec![pin] }
}

/// Whatever is built next to it, without a pin each time.
fn at_home(isolation: Isolation) -> AllowList {
    AllowList { dev: true, allow: vec![Pin { isolation, deadline_ms: 20_000, ..Pin::of("odd", "") }] }
}

fn ask(opened: &Opened, what: &str) -> Result<f32> {
    let answer = opened.run(&[(what, &floats(&[1], &[0.0]))], &ComponentCall::default())?;
    let TensorData::Fp32(y) = answer[0].1.data() else { panic!("{answer:?}") };
    Ok(y[0])
}

#[track_caller]
fn is(catalog: &Catalog, name: &str, state: PluginState, reason: &str) {
    let view = catalog.plugin(name).unwrap();
    let word = view.reason.as_ref().map_or("", |(word, _)| word);
    assert_eq!((view.state, word), (state, reason), "{view:?}");
}

#[test]
fn everything_stands_in_the_list_with_its_state_and_why() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let folder = bench.odd(&[]);
    let mut allow = pinned(&folder, Isolation::Process);
    c_example(&bench);
    allow.allow.push(Pin::of("absent", &"00".repeat(32)));
    fs::create_dir_all(bench.temp.path().join("broken")).unwrap();
    fs::write(bench.temp.path().join("broken/plugin.toml"), "name = 3").unwrap();
    let catalog = catalog(&bench, allow, &clock);
    let names: Vec<String> = catalog.plugins().into_iter().map(|view| view.name).collect();
    assert_eq!(names, ["absent", "broken", "c_scale", "center", "odd"]);
    is(&catalog, "absent", PluginState::Refused, "manifest");
    is(&catalog, "broken", PluginState::Refused, "manifest");
    is(&catalog, "c_scale", PluginState::Refused, "not_allowed");
    is(&catalog, "center", PluginState::Ready, "");
    is(&catalog, "odd", PluginState::Ready, "");

    let center = catalog.plugin("center").unwrap();
    assert_eq!((center.place, center.version.as_deref()), (PluginPlace::BuiltIn, Some("0.1.0")));
    assert!(center.components[0].config_schema.contains("mean") && center.components[0].deterministic);
    let odd = catalog.plugin("odd").unwrap();
    assert_eq!((odd.place, odd.pinned, odd.generation, odd.mapped), (PluginPlace::Process, true, 1, 0));
    assert_eq!(odd.sha256.unwrap().len(), 64);
    assert_eq!(odd.components[0].kinds, ["predictor"]);

    // The reason is said to whoever wants what would have been there.
    let error = catalog.take("example.c_scale", "{}").err().unwrap();
    assert!(error.code() == ErrorCode::NotFound && error.to_string().contains("nobody has allowed"), "{error}");
    let error = catalog.take("nobody.has", "{}").err().unwrap().to_string();
    assert!(error.contains("example.center, example.occlusion, test.odd"), "{error}");
    let error = catalog.reload("center").unwrap_err().to_string();
    assert!(error.contains("built into the server"), "{error}");
    assert_eq!(catalog.reload("../odd").unwrap_err().code(), ErrorCode::NotFound);
}

#[test]
fn one_whose_constructor_ends_the_process_ends_its_own() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let folder = bench.odd(&["-DCRASH_AT_LOAD"]);
    // Pinned into this very process: the first contact is elsewhere all the same.
    let catalog = catalog(&bench, pinned(&folder, Isolation::Inproc), &clock);
    is(&catalog, "odd", PluginState::Failed, "failed");
    let reason = catalog.plugin("odd").unwrap().reason.unwrap().1;
    assert!(reason.contains("signal 6"), "{reason}");
}

#[test]
fn components_are_opened_by_id_wherever_they_run() {
    for (isolation, place) in [(Isolation::Process, PluginPlace::Process), (Isolation::Inproc, PluginPlace::InProcess)]
    {
        let (bench, clock) = (Bench::new(), Arc::default());
        let folder = bench.odd(&[]);
        let catalog = catalog(&bench, pinned(&folder, isolation), &clock);
        let opened = catalog.take("odd/test.odd", "{}").unwrap();
        assert!((ask(&opened, "x").unwrap() - 1.0).abs() < f32::EPSILON);
        assert_eq!(ask(&opened, "silent").unwrap_err().code(), ErrorCode::InvalidInput);
        let view = catalog.plugin("odd").unwrap();
        assert_eq!((view.place, view.totals.calls, view.totals.errors), (place, 2, 1));
        assert_eq!(view.components[0].in_use, 1);
        let origin = opened.origin();
        assert_eq!((origin.plugin.as_str(), origin.version.as_str()), ("odd", "0.1.0"));
        assert_eq!(origin.sha256, view.sha256);
        drop(opened);
        assert_eq!(catalog.plugin("odd").unwrap().components[0].in_use, 0);
    }
}

#[test]
fn a_component_is_opened_for_serving_with_what_it_tells() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let catalog = catalog(&bench, AllowList::default(), &clock);
    let files: Arc<dyn ModelFiles> = Arc::new(NoFiles);
    let open =
        |id, kind, config_json| catalog.open(ComponentRequest { id, kind, config_json, files: &files, given: &[] });
    let center = open("example.center", ComponentKind::Transform, r#"{"mean": [1, 2]}"#).unwrap();
    let signature = center.signature.unwrap();
    assert_eq!((&*signature.inputs[0].name, signature.inputs[0].wire_shape()), ("x", vec![-1, 2]));
    assert!(center.deterministic);
    let x = floats(&[1, 2], &[1.0, 1.0]);
    let answer = center.component.run(&[("x", &x)], &ComponentCall::default()).unwrap();
    assert_eq!(answer, [("x".to_owned(), floats(&[1, 2], &[0.0, -1.0]))]);
    let error = open("example.center", ComponentKind::Combiner, "{}").err().unwrap();
    assert!(error.code() == ErrorCode::Unsupported && error.to_string().contains("is no combiner"), "{error}");
    let error = open("example.center", ComponentKind::Transform, "{}").err().unwrap();
    assert!(error.code() == ErrorCode::InvalidModel && error.to_string().contains("\"mean\""), "{error}");
}

#[test]
fn deaths_are_counted_and_several_calls_have_several_processes() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let folder = bench.odd(&[]);
    let mut allow = pinned(&folder, Isolation::Process);
    allow.allow[0].instances_max = 2;
    let catalog = catalog(&bench, allow, &clock);
    let opened = catalog.take("test.odd", "{}").unwrap();
    assert_eq!(ask(&opened, "abort").unwrap_err().code(), ErrorCode::NotReady);
    let totals = catalog.plugin("odd").unwrap().totals;
    assert_eq!((totals.deaths, totals.starts), (1, 1));
    ask(&opened, "x").unwrap();
    // While one call waits to be cancelled, another is answered, by a second process.
    let cancel = candor_domain::Cancel::default();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let call = ComponentCall { cancel: Some(&cancel), ..ComponentCall::default() };
            opened.run(&[("wait", &floats(&[1], &[0.0]))], &call).unwrap_err()
        });
        while opened.isolated().unwrap().worker_ids().len() == 1 {
            std::thread::yield_now();
        }
        ask(&opened, "x").unwrap();
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().code(), ErrorCode::Cancelled);
    });
    assert_eq!(catalog.plugin("odd").unwrap().totals.starts, 3);
}

#[test]
fn a_reload_changes_what_is_open_and_a_bad_one_changes_nothing() {
    for isolation in [Isolation::Process, Isolation::Inproc] {
        let (bench, clock) = (Bench::new(), Arc::default());
        bench.odd(&["-DANSWER=1"]);
        let catalog = catalog(&bench, at_home(isolation), &clock);
        let opened = catalog.take("test.odd", "{}").unwrap();
        let answers = |expected: f32| {
            let got = ask(&opened, "x").unwrap();
            assert!((got - expected).abs() < f32::EPSILON, "{isolation:?}: {got}, expected {expected}");
        };
        answers(1.0);
        bench.odd(&["-DANSWER=2"]);
        let view = catalog.reload("odd").unwrap();
        assert_eq!((view.generation, view.pinned), (2, false));
        answers(2.0);
        for (flags, word) in [
            (&["-DANSWER=3", "-DCREATE_FAILS"][..], "failed"),
            (&["-DABI_MAJOR=3"], "abi"),
            (&["-DCRASH_AT_LOAD"], "failed"),
        ] {
            bench.odd(flags);
            let error = catalog.reload("odd").unwrap_err().to_string();
            assert!(error.contains(&format!("({word})")), "{error}");
            answers(2.0);
            is(&catalog, "odd", PluginState::Ready, word);
            assert_eq!(catalog.plugin("odd").unwrap().generation, 2);
        }
        bench.odd(&["-DANSWER=2"]);
        catalog.reload("odd").unwrap();
        is(&catalog, "odd", PluginState::Ready, "");
        answers(2.0);
    }
}

#[test]
fn one_that_was_refused_or_not_there_is_found_by_a_reload() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let catalog = catalog(&bench, at_home(Isolation::Process), &clock);
    is(&catalog, "odd", PluginState::Refused, "manifest");
    bench.odd(&["-DABI_MAJOR=3"]);
    assert_eq!(catalog.reload("odd").unwrap_err().code(), ErrorCode::Unsupported);
    is(&catalog, "odd", PluginState::Refused, "abi");
    bench.odd(&[]);
    assert_eq!(catalog.reload("odd").unwrap().state, PluginState::Ready);
    assert!(ask(&catalog.take("test.odd", "{}").unwrap(), "x").is_ok());
    c_example(&bench);
    assert!(catalog.plugin("c_scale").is_none());
    assert_eq!(catalog.reload("c_scale").unwrap().state, PluginState::Ready);
}

#[test]
fn a_caller_in_a_hurry_costs_nobody_a_process() {
    let bench = Bench::new();
    let clock: Arc<ManualClock> = Arc::default();
    let folder = bench.odd(&[]);
    let catalog = catalog(&bench, pinned(&folder, Isolation::Process), &clock);
    let opened = catalog.take("test.odd", "{}").unwrap();
    let deadline = Some(candor_domain::Clock::now(&*clock));
    let call = ComponentCall { deadline, ..ComponentCall::default() };
    let error = opened.run(&[("wait", &floats(&[1], &[0.0]))], &call).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
    assert_eq!(catalog.plugin("odd").unwrap().totals.deaths, 0);
    assert!(ask(&opened, "x").is_ok());
    assert_eq!(catalog.plugin("odd").unwrap().totals.starts, 1);
}

/// A model is loaded while the plugin is: the component must not stay behind on the library that was replaced.
#[test]
fn what_is_being_opened_during_a_reload_takes_part_in_it() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let folder = bench.odd(&["-DANSWER=2"]);
    let path = library(&folder, "odd");
    let second = fs::read(&path).unwrap();
    bench.odd(&["-DANSWER=1", "-DSLOW_CREATE=3"]);
    let catalog = catalog(&bench, at_home(Isolation::Process), &clock);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| catalog.take("test.odd", "{}").unwrap());
        while !bench.left("creating") {
            std::thread::yield_now();
        }
        fs::write(path.with_extension("new"), &second).unwrap();
        set_mode(&path.with_extension("new"), 0o755);
        fs::rename(path.with_extension("new"), &path).unwrap();
        let sha256 = catalog.reload("odd").unwrap().sha256;
        let opened = opening.join().unwrap();
        assert_eq!((ask(&opened, "x").unwrap(), opened.origin().sha256), (2.0, sha256));
    });
}

/// A schema of 41 lines that asks 2^40 questions: its own process may lose itself in it.
#[test]
fn a_schema_without_end_is_not_evaluated_by_the_server() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (bench, clock) = (Bench::new(), Arc::default());
        let both =
            |n: u32| format!(r##""a{}":{{"allOf":[{{"$ref":"#/$defs/a{n}"}},{{"$ref":"#/$defs/a{n}"}}]}}"##, n + 1);
        let defs: Vec<String> = (0..40).map(both).collect();
        let schema = format!(r##"{{"$defs":{{"a0":{{"type":"object"}},{}}},"$ref":"#/$defs/a40"}}"##, defs.join(","));
        let folder = bench.odd(&[&format!("-DSCHEMA=\"{}\"", schema.replace('"', "\\\""))]);
        let allow = pinned(&folder, Isolation::Process);
        let catalog = catalog_of(&bench, allow, &clock, Duration::from_secs(5));
        is(&catalog, "odd", PluginState::Ready, "");
        tell.send(catalog.take("test.odd", "{}").err().unwrap().to_string()).unwrap();
    });
    let error = told.recv_timeout(Duration::from_secs(40)).expect("it does not end");
    assert!(error.contains("was not ready in time") || error.contains("signal"), "{error}");
}

#[test]
fn a_process_that_claims_what_its_manifest_does_not_is_not_believed() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let folder = bench.odd(&["-DCLAIMS=\"candor.tokenizer\""]);
    let catalog = catalog(&bench, pinned(&folder, Isolation::Process), &clock);
    is(&catalog, "odd", PluginState::Failed, "tables");
    assert_eq!(catalog.take("candor.tokenizer", "{}").err().unwrap().code(), ErrorCode::NotFound);
}

/// A plugin's folder below a name of its own, with a component of any id.
fn another(bench: &Bench, name: &str, id: &str) -> Pin {
    let folder = bench.temp.path().join(name);
    let source = Path::new(super::support::ROOT).join("server/plugin_host/tests/plugins/odd.c");
    compile(&source, &library(&folder, name), &[&format!("-DID=\"{id}\"")]);
    let text =
        format!("name = '{name}'\nversion = '0.1.0'\nabi = '0.1'\n[[component]]\nid = '{id}'\nkinds = ['predictor']\n");
    fs::write(folder.join("plugin.toml"), text).unwrap();
    Pin { isolation: Isolation::Process, deadline_ms: 20_000, ..pin(&library(&folder, name), name) }
}

#[test]
fn nobody_takes_the_place_of_what_is_built_in_or_of_another() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let offers = [("before", "example.center"), ("one", "test.same"), ("two", "test.same")]
        .map(|(name, id)| another(&bench, name, id));
    let catalog = catalog(&bench, AllowList { dev: false, allow: offers.into() }, &clock);
    let plugin = |asked: &str| catalog.take(asked, r#"{"mean": [0.0]}"#).map(|opened| opened.origin().plugin);
    assert_eq!(plugin("example.center").unwrap(), "center");
    assert_eq!(plugin("before/example.center").unwrap(), "before");
    let error = plugin("test.same").unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidModel);
    assert!(error.to_string().contains("one of one/test.same, two/test.same"), "{error}");
    assert_eq!(plugin("two/test.same").unwrap(), "two");
}

#[test]
fn a_thread_does_not_keep_the_memory_of_a_large_answer() {
    let (bench, clock) = (Bench::new(), Arc::default());
    let folder = bench.odd(&[]);
    let catalog = catalog(&bench, pinned(&folder, Isolation::Inproc), &clock);
    let opened = catalog.take("test.odd", "{}").unwrap();
    let answer = opened.run(&[("much", &floats(&[1], &[0.0]))], &ComponentCall::default()).unwrap();
    assert_eq!(answer[0].1.shape().dims(), [6 << 20]);
    assert!(Opened::held_bytes() <= 16 << 20, "{}", Opened::held_bytes());
}
