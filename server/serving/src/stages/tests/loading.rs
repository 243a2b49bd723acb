//! What a load makes of `model.toml`.

use candor_domain::ErrorCode;

use super::{
    ECHO, ENCODER, SENTENCES, World,
    fake::{floats, fp32},
};

#[test]
fn a_component_may_be_the_engine_of_a_model_without_a_graph() {
    let world = World::new();
    let manifest = "engine = \"plugin\"\n[plugin]\ncomponent = \"t.scale\"\nconfig = { factor = 2.5 }\n";
    world.put("m", manifest, None).unwrap();
    let reply = world.infer("m", vec![fp32(&[2, 1], vec![2.0, 4.0])]).unwrap();
    assert_eq!((floats(&reply.outputs[0]), reply.stages), (vec![5.0, 10.0], vec!["engine".to_owned()]));
    let lease = world.lease("m");
    assert_eq!((lease.engine.name, &*lease.engine.version, lease.version.as_str()), ("plugin", "test 1.0.0", "1"));
    assert_eq!(*world.fake.asked.lock().unwrap(), ["predictor t.scale ()"]);
    // Versions of their own share the manifest.
    world.write("v/1/notes.txt", "");
    world.write("v/2/notes.txt", "");
    world.put("v", manifest, None).unwrap();
    assert_eq!(world.pipeline.registry().ready_versions("v").len(), 2);
}

#[test]
fn a_version_is_all_that_it_is_made_of() {
    let world = World::new();
    let manifest =
        |file: &str| SENTENCES.replacen("[[stage]]", &format!("[[stage]]\nconfig = {{ file = \"{file}\" }}"), 1);
    world.write("m/vocab.txt", "a b c");
    world.put("m", &manifest("vocab.txt"), Some(ENCODER)).unwrap();
    let first = world.lease("m").sha256.clone();
    world.write("m/vocab.txt", "a b c d");
    world.load("m").unwrap();
    let second = world.lease("m").sha256.clone();
    assert_ne!(first, second, "a file that a component read");
    world.write("m/other.txt", "a b c d");
    world.put("m", &manifest("other.txt"), Some(ENCODER)).unwrap();
    let third = world.lease("m").sha256.clone();
    assert_ne!(second, third, "the configuration");
    *world.fake.library.lock().unwrap() = "new".to_owned();
    world.write("m/1/touched.txt", "");
    world.load("m").unwrap();
    assert_ne!(third, world.lease("m").sha256, "the library");
    let error = world.put("m", &manifest("../../etc/passwd"), Some(ENCODER)).unwrap_err().to_string();
    assert!(error.contains("stage 1 'words': the component 't.words' cannot be opened"), "{error}");
    assert!(error.contains("cannot be a file of the model"), "{error}");
}

#[test]
fn stages_are_opened_in_order_and_told_what_they_will_be_given() {
    let world = World::sentences();
    let asked = world.fake.asked.lock().unwrap().clone();
    assert_eq!(asked, ["transform t.words ()", "transform t.pool (hidden, ids, mask)"]);
}

#[test]
fn what_does_not_fit_together_is_refused_with_stage_and_key() {
    let world = World::new();
    let refused = |from: &str, to: &str| world.refused(&SENTENCES.replacen(from, to, 1), Some(ENCODER));
    for (from, to, wanted) in [
        (
            "t.words",
            "t.wrods",
            "model.toml stage[0].component: stage 1 'wrods': the component 't.wrods' cannot be opened: there is no \
             component 't.wrods'; expected t.words, t.pool, t.scale",
        ),
        ("{ text =", "{ txt =", "model.toml stage[0].inputs: stage 1 'words': it has no input 'txt'; expected text"),
        (
            "inputs = { text = \"sentence\" }",
            "outputs = { ids = \"input_ids\" }",
            "stage 1 'words': nobody reads its output 'input_ids'; expected a name that a later stage or the engine \
             takes: ids; say outputs = { ids = \"…\" } if it has another name there, or drop = [\"ids\"] if nobody wants it",
        ),
        (
            "inputs = { text = \"sentence\" }",
            "outputs = { ids = \"mask\" }",
            "model.toml stage[0].outputs: stage 1 'words': two of its outputs are called 'mask'",
        ),
        (
            "inputs = { text = \"sentence\" }",
            "drop = [\"type_ids\"]",
            "model.toml stage[0].drop: stage 1 'words': it has no output 'type_ids' to drop; expected ids, mask",
        ),
        (
            "outputs = { sum = \"letters\" }",
            "inputs = { hidden = \"hiden\" }",
            "model.toml stage[1].inputs 'hidden': stage 2 'pooling': nothing gives 'hiden'; expected hidden, ids, \
             mask, sentence; where the names differ, say inputs = { its_own_name = \"the_name_here\" }",
        ),
        (
            "outputs = { sum = \"letters\" }",
            "inputs = { hidden = \"sentence\" }",
            "model.toml stage[1].inputs 'hidden': stage 2 'pooling': it takes the model's input 'sentence' otherwise \
             than others: the datatypes differ; expected INT64, got BYTES",
        ),
    ] {
        assert_eq!(refused(from, to), wanted);
    }
    let encoder = ENCODER.replace("[\"rows\", \"words\"]", "[\"rows\", \"words\", 3]");
    let wanted = "model.toml engine.inputs 'ids': the engine: it cannot take 'ids' of stage 1 'words': the shapes \
                  differ; expected [rows, words, 3], got [?, ?]";
    assert_eq!(world.refused(SENTENCES, Some(&encoder)), wanted);
    assert!(world.pipeline.registry().lease("m", None).is_err_and(|error| error.code() == ErrorCode::NotReady));
}

#[test]
fn what_contradicts_itself_is_refused_before_anything_is_opened() {
    let world = World::new();
    for (manifest, wanted) in [
        ("engine = \"plugin\"", "m/model.toml engine: it is not said which component is the engine"),
        ("engine = \"ort\"\n[plugin]\ncomponent = \"t.scale\"", "m/model.toml engine: engine = \"ort\" wants a graph"),
        (
            "[plugin]\ncomponent = \"a\"\n[ensemble]\nmembers = [{ model = \"x\" }]\ncombiner = { component = \"b\" }",
            "m/model.toml [ensemble]: a model is either a plugin's or an ensemble",
        ),
        (
            "[ensemble]\nmembers = []\ncombiner = { component = \"b\" }",
            "m/model.toml ensemble.members: an ensemble without members",
        ),
        (
            "[[stage]]\ncomponent = \"a.x\"\n[[stage]]\ncomponent = \"b.x\"",
            "m/model.toml stage[1].name: two stages are called 'x'",
        ),
        ("[[stage]]\ncomponent = \"a.engine\"", "m/model.toml stage[0].name: no stage may be called 'engine'"),
        (
            "[[stage]]\ncomponent = \"a.x\"\nat = \"after\"\n[[stage]]\ncomponent = \"a.y\"",
            "m/model.toml stage[1].at: stage 'y' stands behind one that comes after the engine",
        ),
        ("[[stage]]\ncomponent = \"a.x\"\nat = \"inside\"", "m/model.toml: TOML parse error at line 3"),
        (
            &"[[stage]]\ncomponent = \"a.x\"\n".repeat(17),
            "m/model.toml [[stage]]: there are too many stages; expected at most 16 (limits.stages_max), got 17",
        ),
    ] {
        let error = world.refused(manifest, Some(ECHO));
        assert!(error.starts_with(wanted), "{error}");
    }
    assert!(world.fake.asked.lock().unwrap().is_empty());
}

#[test]
fn a_component_that_does_not_tell_is_told_of() {
    let world = World::new();
    let silent = "[[stage]]\ncomponent = \"t.silent\"\noutputs = { y = \"x\" }\n";
    let error = world.refused(silent, Some(ECHO));
    assert!(
        error.starts_with("model.toml stage[0]: stage 1 'silent': the component 't.silent' does not tell"),
        "{error}"
    );
    let ports = "takes = [{ name = \"x\", datatype = \"FP32\", shape = [-1, 1] }]\ngives = [{ name = \"y\", datatype = \"FP32\", shape = [-1, 1] }]\n";
    world.put("m", &format!("{silent}{ports}"), Some(ECHO)).unwrap();
    assert_eq!(world.lease("m").signature.inputs[0].wire_shape(), [-1, 1]);
    let told = |ports: &str| {
        world.refused(&format!("[[stage]]\ncomponent = \"t.scale\"\noutputs = {{ y = \"x\" }}\n{ports}"), Some(ECHO))
    };
    let wrong = told("takes = [{ name = \"x\", datatype = \"INT64\", shape = [-1, 1] }]");
    assert!(
        wrong.starts_with(
            "model.toml stage[0].takes 'x': stage 1 'scale': the component tells otherwise: the datatypes differ"
        ),
        "{wrong}"
    );
    let wrong = told("takes = [{ name = \"z\", datatype = \"FP32\", shape = [-1] }]");
    assert!(
        wrong.starts_with("model.toml stage[0].takes: stage 1 'scale': the component 't.scale' has no 'z'; expected x"),
        "{wrong}"
    );
    let wrong = told("gives = [{ name = \"y\", datatype = \"FLOAT\", shape = [-1] }]");
    assert!(
        wrong.starts_with("model.toml stage[0].gives 'y': stage 1 'scale': there is no datatype 'FLOAT'"),
        "{wrong}"
    );
}

#[test]
fn a_server_without_plugins_says_so() {
    let world = World::new();
    let root = world.folder.path();
    world.write("m/model.toml", SENTENCES);
    world.write("m/1/model.onnx", ENCODER);
    let repository = crate::Repository::open(root, 1 << 20).unwrap();
    let found = repository.find(&candor_domain::ModelName::parse("m").unwrap()).unwrap();
    let engines = crate::Engines::one(std::sync::Arc::new(candor_engine_conformance::NullEngine::new()));
    let bytes = repository.read_model(&found.versions[0]).unwrap();
    let error = crate::Opened::open(&engines, &bytes, &found, &found.versions[0]).err().unwrap().to_string();
    let wanted =
        "model.toml stage[0].component: stage 1 'words': there is no transform 't.words': this server hosts no plugins";
    assert_eq!(error, wanted);
}
