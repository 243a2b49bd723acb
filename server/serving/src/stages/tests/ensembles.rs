//! Models of models.

use std::time::Duration;

use candor_domain::{ErrorCode, ModelName, Outcome};

use super::{
    Tensors, World,
    fake::{floats, fp32},
};
use crate::{
    RegistrySettings,
    residency::{ResidencySettings, policy::Policy},
};

/// A graph that answers a number to every row of `x`.
fn constant(number: f32, head: &str) -> String {
    format!(
        "key = \"{number}\"\ntrigger = 13.0\n{head}\n[[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\", 1]\n\
         [[outputs]]\nname = \"score\"\ndatatype = \"FP32\"\ndims = [\"rows\", 1]\nconstant = {number:?}\n"
    )
}

const VOTE: &str = r#"
[ensemble]
members = [{ model = "a" }, { model = "b", version = "1" }, { model = "c", inputs = { x = "other" } }]

[ensemble.combiner]
component = "t.vote"
gives = [{ name = "y", datatype = "FP32", shape = [-1, 1] }]
"#;

fn settings(pool_threads: usize) -> RegistrySettings {
    RegistrySettings { pool_threads, ..RegistrySettings::default() }
}

/// Three members that answer 1, 2 and 6; nobody has loaded them.
fn three(settings: RegistrySettings) -> World {
    let world = World::with(settings);
    for (model, number) in [("a", 1.0), ("b", 2.0), ("c", 6.0)] {
        world.write(&format!("{model}/1/model.onnx"), &constant(number, ""));
    }
    world.put("vote", VOTE, None).unwrap();
    world
}

fn rows() -> Vec<candor_domain::Tensor> {
    vec![fp32(&[2, 1], vec![0.5, 1.5]), fp32(&[2, 1], vec![7.0, 8.0])]
}

fn answered(world: &World, model: &str) -> u64 {
    let views = world.pipeline.registry().views();
    views.iter().find(|view| view.model.as_str() == model).map_or(0, |view| view.totals.outcome(Outcome::Success))
}

#[test]
fn members_are_loaded_and_asked_and_one_answer_is_made_of_theirs() {
    for threads in [1, 2, 8] {
        let world = three(settings(threads));
        let before = answered(&world, "a");
        let reply = world.infer("vote", rows()).unwrap();
        assert_eq!(floats(&reply.outputs[0]), [3.0, 3.0]);
        assert_eq!(reply.stages, ["a", "b:1", "c", "combiner"]);
        assert_eq!(reply.thread, "pool", "a member may have to be waited for");
        assert_eq!(answered(&world, "a"), before + 1, "what a member does counts as its own doing");
        let lease = world.lease("vote");
        let names: Vec<_> = lease.signature.inputs.iter().map(|spec| &*spec.name).collect();
        assert_eq!((names, lease.engine.name), (vec!["x", "other"], "ensemble"));
        assert_eq!(world.pipeline.registry().ready_models().len(), 4);
    }
}

#[test]
fn many_at_once_need_no_more_than_one_thread() {
    let world = three(settings(1));
    let nested = VOTE.replace("model = \"a\"", "model = \"vote\"").replace("t.vote\"", "t.vote\"\nconfig = {}");
    let nested =
        nested.replace("{ model = \"c\", inputs = { x = \"other\" } }", "{ model = \"vote\", version = \"1\" }");
    world.put("outer", &nested, None).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let reply = world.infer("outer", rows()).unwrap();
                assert_eq!(floats(&reply.outputs[0]), [8.0 / 3.0; 2]);
                assert_eq!(reply.stages, ["vote", "b:1", "vote:1", "combiner"]);
            });
        }
    });
}

#[test]
fn what_the_caller_sent_is_put_back() {
    let world = three(settings(2));
    let lease = world.lease("vote");
    let mut inputs = rows();
    let before: Vec<_> = inputs.iter().map(super::fake::address).collect();
    let mut run = candor_domain::Run::new(&*world.clock, None, None);
    lease.session().run_as(&mut inputs, &[0], &mut run).unwrap();
    let after: Vec<_> = inputs.iter().map(super::fake::address).collect();
    assert_eq!((after, inputs), (before, rows()));
}

#[test]
fn a_member_that_cannot_answer_is_named() {
    let world = three(settings(2));
    let unload = |model: &str| {
        let name = ModelName::parse(model).unwrap();
        world.pipeline.registry().unload(name).unwrap().wait_blocking().unwrap().unwrap();
    };
    unload("b");
    let error = world.infer("vote", rows()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotReady);
    assert!(error.what().starts_with("member 'b:1': model 'b' version 1 is not loaded"), "{error}");
    world.load("b").unwrap();
    world.infer("vote", rows()).unwrap();
    world.write("b/1/model.onnx", &constant(2.0, "fail_run = \"it is broken\""));
    world.load("b").unwrap();
    world.infer("vote", rows()).unwrap();
    let thirteen = vec![fp32(&[1, 1], vec![13.0]), fp32(&[1, 1], vec![0.0])];
    let error = world.infer("vote", thirteen).unwrap_err();
    assert_eq!((error.code(), error.what()), (ErrorCode::EngineFailed, "member 'b:1': it is broken"));
    world.write("b/1/model.onnx", &constant(2.0, "").replace("[\"rows\", 1]", "[\"rows\", 2]"));
    world.load("b").unwrap();
    let error = world.infer("vote", rows()).unwrap_err().to_string();
    let wanted = "member 'b:1' takes or gives something else than when the ensemble was loaded; load the ensemble anew";
    assert_eq!(error, wanted);
}

#[test]
fn ensembles_that_contain_each_other_are_refused_at_load() {
    let world = World::new();
    let of = |member: &str| VOTE.replace("model = \"a\"", &format!("model = \"{member}\""));
    world.write("p/model.toml", &of("q"));
    world.write("q/model.toml", &of("p"));
    for (model, way) in [("p", "p → q → p"), ("q", "q → p → q")] {
        let error = world.load(model).unwrap_err().to_string();
        assert!(
            error.contains("member '") && error.contains(&format!("ensembles contain each other; got {way}")),
            "{error}"
        );
    }
    let error = world.put("own", &of("own"), None).unwrap_err().to_string();
    assert!(error.contains("ensembles contain each other; got own → own"), "{error}");
    for (model, member) in [("d1", "d2"), ("d2", "d3"), ("d3", "d4"), ("d4", "d5")] {
        world.write(&format!("{model}/model.toml"), &of(member));
    }
    let error = world.load("d1").unwrap_err().to_string();
    let wanted = "too deeply; expected at most 4 models deep (limits.call_depth_max), got d1 → d2 → d3 → d4 → d5";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn members_that_do_not_fit_are_refused_with_their_key() {
    let world = three(settings(1));
    world.write("wide/1/model.onnx", &constant(1.0, "").replace("[\"rows\", 1]", "[\"rows\", 3]"));
    world.write(
        "two/1/model.onnx",
        &format!(
            "{}[[outputs]]\nname = \"more\"\ndatatype = \"FP32\"\ndims = [\"rows\"]\nconstant = 1.0\n",
            constant(1.0, "")
        ),
    );
    for (from, to, wanted) in [
        (
            "\"a\"",
            "\"nobody\"",
            "model.toml ensemble.members[0]: member 'nobody': model 'nobody' is not in the repository",
        ),
        (
            "\"b\", version = \"1\"",
            "\"b\", version = \"7\"",
            "model.toml ensemble.members[1]: member 'b': model 'b' has no version 7",
        ),
        (
            "\"b\", version = \"1\"",
            "\"wide\"",
            "model.toml ensemble.members[1]: member 'wide': it takes 'x' otherwise than the members before it: the shapes differ; expected [rows, 3], got [rows, 1]",
        ),
        (
            "{ x = \"other\" }",
            "{ z = \"other\" }",
            "model.toml ensemble.members[2]: member 'c': it has no input 'z'; expected x",
        ),
        (
            "\"a\"",
            "\"a\", output = \"class\"",
            "model.toml ensemble.members[0]: member 'a': it has no output 'class'; expected score",
        ),
        (
            "\"a\"",
            "\"two\"",
            "model.toml ensemble.members[0]: member 'two': it gives more than one output; expected output = \"…\", one of score, more",
        ),
        ("t.vote", "t.nobody", "model.toml ensemble.combiner.component: the component 't.nobody' cannot be opened"),
        ("gives = ", "takes = ", "model.toml ensemble.combiner: the component 't.vote' does not tell"),
    ] {
        let error = world.refused(&VOTE.replacen(from, to, 1), None);
        assert!(error.starts_with(wanted), "{error}");
    }
}

#[test]
fn a_combiner_may_see_what_the_members_saw() {
    let world = three(settings(2));
    world.put("stack", &VOTE.replace("t.vote", "t.stack"), None).unwrap();
    let reply = world.infer("stack", rows()).unwrap();
    assert_eq!(floats(&reply.outputs[0]), [9.5 / 4.0, 10.5 / 4.0]);
    let without = VOTE.replace("t.vote", "t.stack").replace("{ model = \"c\", inputs = { x = \"other\" } }", "");
    let error = world.refused(&without, None);
    let wanted = "model.toml ensemble.combiner: the combiner takes 'y_2', which nobody gives; expected y_0, y_1, x";
    assert_eq!(error, wanted);
}

#[test]
fn a_caller_who_leaves_stops_the_members() {
    let world = three(settings(2));
    let gate = world.hooks.hold_runs("2");
    let asked = Tensors {
        inputs: vec![fp32(&[1, 1], vec![13.0]), fp32(&[1, 1], vec![0.0])],
        timeout: Some(Duration::from_millis(30)),
    };
    let error = world.ask("vote", asked).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
    // The held member hears that nobody waits; the thread is free again for the next request.
    let reply = world.infer("vote", rows()).unwrap();
    assert_eq!(floats(&reply.outputs[0]), [3.0, 3.0]);
    drop(gate);
}

#[test]
fn members_need_not_fit_into_memory_together_and_cold_ones_are_waited_for() {
    let load_wait_max = Duration::from_secs(20);
    let residency =
        ResidencySettings { budget: 1000, policy: Policy::Gdsf, idle_ttl: None, load_wait_max, weights: None };
    let world = World::with(RegistrySettings { residency: Some(residency), ..settings(1) });
    for (model, number) in [("a", 1.0), ("b", 2.0), ("c", 6.0)] {
        world.put(model, "[residency]\nbytes = 800", Some(&constant(number, ""))).unwrap();
    }
    world.put("vote", &format!("{VOTE}\n[residency]\nbytes = 10\n"), None).unwrap();
    for _ in 0..3 {
        assert_eq!(floats(&world.infer("vote", rows()).unwrap().outputs[0]), [3.0, 3.0]);
    }
    let resident = ["a", "b", "c"].map(|model| world.lease(model).is_resident());
    assert_eq!(resident.iter().filter(|resident| **resident).count(), 1, "{resident:?}");
}

#[test]
fn a_component_may_call_models_but_not_without_end() {
    let world = three(settings(1));
    let manifest = |model: &str| format!("[plugin]\ncomponent = \"t.calls\"\nconfig = {{ model = \"{model}\" }}\n");
    world.put("p", &manifest("c"), None).unwrap();
    let ask = |model: &str| world.infer(model, vec![fp32(&[1, 1], vec![0.5])]);
    assert_eq!(floats(&ask("p").unwrap().outputs[0]), [6.0]);
    let error = world.infer("p", vec![fp32(&[1, 2], vec![0.5, 0.5])]).unwrap_err();
    assert!(error.to_string().contains("input 'x' has the wrong shape; expected [rows, 1], got [1, 2]"), "{error}");
    world.put("round", &manifest("round"), None).unwrap();
    let error = ask("round").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Overloaded);
    let wanted = |most: u32| {
        format!(
            "models call each other too deeply; expected at most {most} that wait for each other (limits.call_depth_max)"
        )
    };
    assert_eq!(error.to_string(), wanted(4));
    // Of two that may wait for each other, one calls a model and that one none.
    let shallow = three(RegistrySettings { call_depth_max: 2, ..settings(1) });
    for (model, calls) in [("p", "c"), ("q", "p"), ("r", "q")] {
        shallow.put(model, &manifest(calls), None).unwrap();
    }
    let ask = |model: &str| shallow.infer(model, vec![fp32(&[1, 1], vec![0.5])]);
    assert!(ask("q").is_ok());
    assert_eq!(ask("r").unwrap_err().to_string(), wanted(2));
    let ask = |model: &str| world.infer(model, vec![fp32(&[1, 1], vec![0.5])]);
    world.put("none", &manifest("nobody"), None).unwrap();
    assert_eq!(ask("none").unwrap_err().to_string(), "there is no model 'nobody'");
}
