//! What a load, an unload and a poll make of a folder, and what they say when they cannot.

use super::*;

#[test]
fn a_model_is_loaded_measured_and_described() {
    let world = World::new();
    world.put("iris/1", "iris/1", 7);
    world.write("iris/model.toml", "title = \"Iris\"\n[[outputs]]\nname = \"y\"\nlabels = [\"a\", \"b\", \"c\"]\n");
    assert_eq!(world.state("iris", ""), (Lifecycle::Discovered, "not loaded".to_owned()));
    world.load("iris").unwrap();
    assert_eq!(world.state("iris", "1"), (Lifecycle::Ready, String::new()));
    let lease = world.registry.lease("iris", None).unwrap();
    assert_eq!(answer(&lease), (7, "iris/1".to_owned()));
    assert_eq!((lease.model.as_str(), lease.version.as_str(), lease.engine.name), ("iris", "1", "null"));
    assert_eq!(lease.manifest.title.as_deref(), Some("Iris"));
    let file = fs::read(world.path("iris/1/model.onnx")).unwrap();
    assert_eq!(lease.file_bytes, file.len() as u64);
    use sha2::Digest as _;
    let sha256: String = sha2::Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(lease.sha256, sha256);
    assert_eq!(world.hooks.runs("iris/1"), 17, "five warm-up runs, eight rows alone, three times together, and ours");
}

#[test]
fn the_first_round_loads_what_it_can() {
    let world = World::new();
    assert!(!world.registry.has_started());
    for model in ["a", "b", "c"] {
        world.put(&format!("{model}/1"), model, 1);
    }
    world.put_with("b/1", "b", 1, "fail_load = \"no luck\"");
    world.put_with("c/1", "c", 1, "panic_load = true");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(world.registry.load_all()).unwrap();
    assert!(world.registry.has_started());
    assert_eq!(world.ready("a"), ["1"]);
    assert_eq!(world.state("b", "1"), (Lifecycle::Failed, "no luck".to_owned()));
    assert_eq!(world.state("c", "1"), (Lifecycle::Failed, "the engine panicked".to_owned()));
    let error = world.refusal("b", None);
    assert_eq!(error.code(), ErrorCode::NotReady);
    assert_eq!(error.to_string(), "model 'b' version 1 could not be loaded: no luck");
    assert_eq!(world.hooks.live(), 1);
}

#[test]
fn names_that_are_unknown_are_not_found_and_a_slip_of_the_finger_is_helped() {
    let world = World::new();
    world.put("iris/1", "iris/1", 1);
    world.load("iris").unwrap();
    let error = world.refusal("irsi", None);
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert_eq!(error.to_string(), "there is no model 'irsi'; did you mean 'iris'?");
    assert_eq!(world.refusal("resnet", None).to_string(), "there is no model 'resnet'");
    let error = world.refusal("iris", Some("9"));
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert_eq!(error.to_string(), "model 'iris' has no version 9; expected one of its ready versions: 1");
    assert_eq!(world.refusal("iris", Some("v1")).code(), ErrorCode::InvalidInput);
    assert_eq!(world.refusal("../iris", None).code(), ErrorCode::InvalidInput);
    // A request does not look at the disk: what is new there is known after the next look.
    world.put("other/1", "other", 1);
    assert_eq!(world.refusal("other", None).code(), ErrorCode::NotFound);
    world.registry.index().unwrap();
    let error = world.refusal("other", None);
    assert_eq!(error.code(), ErrorCode::NotReady);
    assert!(error.to_string().contains("load it: POST /v2/repository/models/other/load"), "{error}");
    assert_eq!(world.load("irsi").unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(world.unload("irsi").unwrap_err().code(), ErrorCode::NotFound);
}

#[test]
fn while_it_loads_a_model_is_not_ready_and_afterwards_it_is() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    let gate = world.hooks.hold_loads("m/1");
    let pending = world.registry.load(name("m"), None).unwrap();
    assert!(gate.wait_for(1));
    let error = world.refusal("m", None);
    assert_eq!((error.code(), error.retry_after()), (ErrorCode::NotReady, Some(1)));
    assert_eq!(error.to_string(), "model 'm' version 1 is loading");
    assert_eq!(world.state("m", "1").0, Lifecycle::Loading);
    gate.open();
    pending.wait_blocking().unwrap().unwrap();
    assert!(world.registry.lease("m", Some("1")).is_ok());
}

#[test]
fn a_failed_load_takes_nothing_away_and_the_index_says_why() {
    let world = World::new();
    world.put("m/1", "m/1", 1);
    world.load("m").unwrap();
    world.put_with("m/2", "m/2", 2, "fail_load = \"half a file\"");
    let error = world.load("m").unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidModel);
    assert_eq!(error.to_string(), "model 'm' could not be loaded: version 2: half a file; still serving: 1");
    assert_eq!(answer(&world.registry.lease("m", None).unwrap()).0, 1);
    assert_eq!(world.state("m", "1"), (Lifecycle::Ready, String::new()));
    assert_eq!(world.state("m", "2"), (Lifecycle::Failed, "half a file".to_owned()));
    // The same version, replaced by a broken file: the session that serves stays.
    world.put_with("m/1", "m/1", 9, "fail_load = \"worse\"");
    fs::remove_dir_all(world.path("m/2")).unwrap();
    world.load("m").unwrap_err();
    assert_eq!(answer(&world.registry.lease("m", None).unwrap()).0, 1);
    let (state, reason) = world.state("m", "1");
    assert_eq!(state, Lifecycle::Ready);
    assert_eq!(reason, "still serving the previous file; reload failed: worse");
    // And a good one ends both.
    world.put("m/1", "m/1", 3);
    world.load("m").unwrap();
    assert_eq!(answer(&world.registry.lease("m", None).unwrap()).0, 3);
    assert_eq!(world.state("m", "1"), (Lifecycle::Ready, String::new()));
}

#[test]
fn policies_choose_versions_and_manifest_and_caller_overrule_the_default() {
    let world = World::with_policy("latest:2");
    for version in ["1", "2", "10", "1.4.0"] {
        world.put(&format!("m/{version}"), version, 1);
    }
    world.load("m").unwrap();
    assert_eq!(world.ready("m"), ["2", "10"]);
    world.write("m/model.toml", "versions = \"all\"\n");
    world.load("m").unwrap();
    assert_eq!(world.ready("m"), ["1", "1.4.0", "2", "10"]);
    assert_eq!(world.registry.lease("m", None).unwrap().version.as_str(), "10");
    assert_eq!(world.registry.lease("m", Some("1.4.0")).unwrap().version.as_str(), "1.4.0");
    let only = VersionPolicy::parse("1, 10").unwrap();
    world.registry.load(name("m"), Some(only)).unwrap().wait_blocking().unwrap().unwrap();
    assert_eq!(world.ready("m"), ["1", "10"]);
    let missing = VersionPolicy::parse("1,7").unwrap();
    let error = world.registry.load(name("m"), Some(missing)).unwrap().wait_blocking().unwrap().unwrap_err();
    assert!(error.to_string().starts_with("version 7 is asked for but not in the repository"), "{error}");
    assert_eq!(world.ready("m"), ["1", "10"], "a policy that cannot be met takes nothing away");
    assert!(world.hooks.wait_for_live(2));
}

#[test]
fn a_file_without_a_version_folder_is_version_1() {
    let world = World::new();
    world.put("m", "flat", 4);
    world.load("m").unwrap();
    assert_eq!(answer(&world.registry.lease("m", Some("1")).unwrap()), (4, "flat".to_owned()));
}

#[test]
fn a_golden_pair_that_does_not_hold_keeps_a_version_out() {
    let world = World::new();
    world.put("m/1", "m/1", 7);
    let golden = |want: &str| {
        format!(
            r#"{{"made_by": "hand", "tolerance": 0, "cases": [{{"name": "sevens",
            "inputs": [{{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]}}],
            "outputs": [{{"name": "y", "datatype": "INT64", "shape": [1, 3], "data": {want}}}]}}]}}"#
        )
    };
    world.write("m/1/golden.json", &golden("[7, 8, 7]"));
    let error = world.load("m").unwrap_err().to_string();
    assert!(error.contains("golden case 'sevens' failed: output 'y'") && error.contains("element 1"), "{error}");
    assert!(error.contains("has 7") && error.contains("wanted 8"), "{error}");
    assert!(world.state("m", "1").1.contains("sevens") && world.ready("m").is_empty());
    assert!(world.hooks.wait_for_live(0));
    world.write("m/1/golden.json", &golden("[7, 7]"));
    assert!(world.load("m").unwrap_err().to_string().contains("does not fit the shape"));
    world.write("m/1/golden.json", &golden("[7, 7, 7]"));
    world.load("m").unwrap();
    assert_eq!(world.ready("m"), ["1"]);
}

#[test]
fn a_manifest_that_contradicts_the_graph_keeps_a_version_out() {
    let world = World::new();
    world.put("m/1", "m/1", 7);
    for (manifest, complaint) in [
        ("[[inputs]]\nname = \"z\"\n", "the graph has no such name 'z'"),
        ("[[outputs]]\nname = \"y\"\nlabels = [\"a\", \"b\"]\n", "labels of 'y' do not fit the graph"),
        ("batch_rows_max = 0\n", "would refuse every request"),
        ("batch_row_max = 1\n", "batch_row_max"),
    ] {
        world.write("m/model.toml", manifest);
        let error = world.load("m").unwrap_err().to_string();
        assert!(error.contains(complaint), "{manifest}: {error}");
        assert_eq!(world.refusal("m", None).code(), ErrorCode::NotReady);
    }
    assert!(world.state("m", "").1.contains("m/model.toml"), "{:?}", world.state("m", ""));
    fs::remove_file(world.path("m/model.toml")).unwrap();
    world.load("m").unwrap();
    assert!(world.registry.index().unwrap().iter().all(|entry| entry.reason.is_empty()));
}

#[test]
fn a_poll_follows_the_folder() {
    let world = World::new();
    world.put("a/1", "a", 1);
    world.put("b/1", "b", 1);
    world.poll();
    assert_eq!((world.ready("a"), world.ready("b")), (vec!["1".to_owned()], vec!["1".to_owned()]));
    world.poll();
    assert_eq!((world.hooks.loads("a"), world.hooks.loads("b")), (1, 1), "nothing changed");
    world.put("a/1", "a", 2);
    world.put("c/3", "c", 1);
    fs::remove_dir_all(world.path("b")).unwrap();
    world.poll();
    assert_eq!(answer(&world.registry.lease("a", None).unwrap()).0, 2);
    assert_eq!(world.ready("c"), ["3"]);
    assert_eq!(world.refusal("b", None).to_string(), "there is no model 'b'");
    assert!(world.hooks.wait_for_live_of("b", 0));
    world.settle();
    assert!(!world.is_told("b"));
    assert!(world.registry.views().iter().any(|view| view.model.as_str() == "b"), "counters do not fall");
}

#[test]
fn a_version_whose_folder_is_deleted_is_forgotten_at_the_next_load_and_its_counters_stay() {
    let world = World::with_policy("all");
    for version in ["1", "2", "3"] {
        world.put(&format!("m/{version}"), version, 1);
    }
    world.put_with("m/2", "2", 1, "fail_load = \"no\"");
    world.load("m").unwrap_err();
    fs::remove_dir_all(world.path("m/2")).unwrap();
    fs::remove_dir_all(world.path("m/3")).unwrap();
    let held = world.registry.lease("m", Some("3")).unwrap();
    world.load("m").unwrap();
    // What drains is still told of, and nobody is sent to load what is not there.
    assert_eq!(world.versions("m"), ["1", "3"]);
    let error = world.refusal("m", Some("3"));
    assert_eq!(error.to_string(), "model 'm' has no version 3; expected one of its ready versions: 1");
    drop(held);
    world.settle();
    assert_eq!(world.versions("m"), ["1"]);
    let counted = |version: &str| world.registry.views().iter().any(|view| view.version.as_str() == version);
    assert!(counted("3") && !counted("2"), "2 was never ready");
    world.put("m/3", "3", 2);
    world.load("m").unwrap();
    assert_eq!(world.ready("m"), ["1", "3"], "what comes back is served again");
}

#[test]
fn a_failed_or_unloaded_model_whose_folder_is_deleted_is_not_found() {
    for by_poll in [true, false] {
        let world = World::new();
        world.put_with("bad/1", "bad", 1, "fail_load = \"no\"");
        world.put("off/1", "off", 1);
        world.write("odd/model.toml", "unknown = 1\n");
        world.poll();
        world.unload("off").unwrap();
        world.settle();
        for model in ["bad", "off", "odd"] {
            assert_eq!(world.refusal(model, None).code(), ErrorCode::NotReady);
            fs::remove_dir_all(world.path(model)).unwrap();
            if by_poll {
                world.poll();
            } else {
                assert_eq!(world.load(model).unwrap_err().code(), ErrorCode::NotFound);
            }
            assert_eq!(world.refusal(model, None).to_string(), format!("there is no model '{model}'"));
            assert!(!world.is_told(model));
        }
    }
}

#[test]
fn a_model_that_is_unloaded_after_its_folder_was_deleted_is_not_found() {
    let world = World::new();
    world.put("m/1", "m", 1);
    world.load("m").unwrap();
    fs::remove_dir_all(world.path("m")).unwrap();
    assert_eq!(world.load("m").unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(world.ready("m"), ["1"], "a load that fails takes nothing away");
    world.unload("m").unwrap();
    world.settle();
    assert_eq!(world.refusal("m", None).code(), ErrorCode::NotFound);
    assert!(!world.is_told("m"));
}

#[test]
fn a_broken_manifest_makes_no_version_forgotten_but_one_without_a_folder() {
    let world = World::with_policy("all");
    world.put_with("m/1", "1", 1, "fail_load = \"no\"");
    world.put_with("m/2", "2", 1, "fail_load = \"no\"");
    world.load("m").unwrap_err();
    world.write("m/model.toml", "unknown = 1\n");
    fs::remove_dir_all(world.path("m/2")).unwrap();
    world.load("m").unwrap_err();
    assert_eq!(world.versions("m"), ["", "1"]);
}

#[test]
fn a_poll_does_not_retry_what_is_unchanged_and_broken_nor_undo_an_unload() {
    let world = World::new();
    world.put_with("bad/1", "bad", 1, "fail_load = \"no\"");
    world.put("off/1", "off", 1);
    world.write("worse/model.toml", "unknown = 1\n");
    for _ in 0..3 {
        world.poll();
    }
    world.unload("off").unwrap();
    world.poll();
    assert_eq!((world.hooks.loads("bad"), world.hooks.loads("off")), (1, 1));
    assert!(world.ready("off").is_empty());
    assert!(world.state("worse", "").1.contains("unknown"));
    world.put("bad/1", "bad", 1);
    world.put("off/1", "off", 1);
    world.poll();
    assert_eq!((world.ready("bad").len(), world.ready("off").len()), (1, 1), "a changed file is another matter");
}

#[test]
fn a_model_that_leaves_the_folder_and_comes_back_as_it_was_is_loaded_again() {
    let world = World::new();
    world.put("m/1", "m", 1);
    world.poll();
    fs::rename(world.path("m"), world.path(".away")).unwrap();
    world.poll();
    assert!(world.ready("m").is_empty());
    fs::rename(world.path(".away"), world.path("m")).unwrap();
    world.poll();
    assert_eq!(world.ready("m"), ["1"]);
}

#[test]
fn a_file_that_was_broken_for_a_while_leaves_no_reason_behind() {
    let world = World::new();
    world.put("m/1", "m", 1);
    world.poll();
    fs::rename(world.path("m/1/model.onnx"), world.path("m/kept")).unwrap();
    world.put_with("m/1", "m", 1, "fail_load = \"no\"");
    world.poll();
    assert!(world.state("m", "1").1.contains("reload failed"));
    fs::rename(world.path("m/kept"), world.path("m/1/model.onnx")).unwrap();
    world.poll();
    assert_eq!(world.state("m", "1"), (Lifecycle::Ready, String::new()));
}

#[test]
fn two_loads_of_one_model_take_turns_and_two_models_do_not_wait_for_each_other() {
    let world = World::new();
    world.put("slow/1", "slow", 1);
    world.put("fast/1", "fast", 1);
    let gate = world.hooks.hold_loads("slow");
    let first = world.registry.load(name("slow"), None).unwrap();
    assert!(gate.wait_for(1));
    world.load("fast").unwrap();
    assert_eq!(world.ready("fast"), ["1"]);
    let second = world.registry.load(name("slow"), None).unwrap();
    gate.open();
    first.wait_blocking().unwrap().unwrap();
    second.wait_blocking().unwrap().unwrap();
    assert_eq!(world.hooks.loads("slow"), 1, "the second found it loaded");
}
