//! Folders that are easily mistaken for each other: what the command line says that it would serve of them.

use candor_tests::{
    Models, Process,
    models::{copy, sample, samples},
    process::{self, Said},
    server::library,
    until,
};
use serde_json::Value;

use super::lifecycle::BINARY;

fn run(args: &[&str]) -> Said {
    let library = library();
    process::run(BINARY, args, &[("CANDOR_ENGINE_ORT_LIBRARY", library.to_str().unwrap())])
}

fn check(models: &Models, path: &str, code: i32) -> String {
    let said = run(&["model", "check", models.path(path).to_str().unwrap()]);
    assert_eq!(said.code, Some(code), "{path}: {}{}", said.out, said.err);
    said.out
}

#[test]
fn who_serves_one_model_instead_of_its_folder_is_told_so() {
    let models = Models::copies(&["iris"]);
    let (model, above) = (models.path("iris"), models.root().canonicalize().unwrap());
    let says = format!(
        "looks like one model, not like a folder of models; serve the folder above it: candor serve {}",
        above.display()
    );
    let process = Process::serve(BINARY, &model, &[]);
    let said = until("the banner", || Some(process.said()).filter(|said| said.contains("/docs/")));
    assert!(said.contains("WARN") && said.matches(&says).count() == 2, "in the log and in the banner: {said}");
    let folder = model.to_str().unwrap();
    let listed = run(&["model", "list", folder]);
    assert!(listed.out.contains(&says), "{}", listed.out);
    let doctor = run(&["doctor", folder, "--http-addr", "127.0.0.1:0"]).out;
    assert!(doctor.contains("! models       ") && doctor.contains("looks like one model"), "{doctor}");
    assert!(doctor.contains("Worth a look"), "{doctor}");
    let right = run(&["model", "list", above.to_str().unwrap()]);
    assert!(!right.out.contains("looks like"), "{}", right.out);
}

#[test]
fn a_stray_file_among_models_hides_none_of_them() {
    let models = Models::copies(&["iris", "simple"])
        .with_file("broken/1/model.onnx", "no graph")
        .with_file("loose.onnx", sample("iris", "1"));
    let said = check(&models, "", 1);
    assert!(said.contains("4 versions of 3 models: 1 failed check"), "{said}");
    assert!(said.contains("! ignored      \"loose.onnx\" lies beside the models"), "{said}");
}

#[test]
fn what_serve_would_pass_over_is_not_right() {
    let graph = || sample("iris", "1");
    let models = Models::copies(&["simple"])
        .with_file("v1/v1/model.onnx", graph())
        .with_file("sp ace/1/model.onnx", graph())
        .with_file("mixed/1/model.onnx", graph())
        .with_file("mixed/v2/model.onnx", graph());
    for (path, says) in [
        ("v1", "would pass it over: v1 holds neither model.onnx nor a version folder"),
        ("v1/v1", "would pass it over: v1 holds neither model.onnx nor a version folder"),
        ("sp ace", "the model name has a character that names may not have"),
        ("sp ace/1", "the model name has a character that names may not have"),
        ("mixed/v2", "`candor serve` passes it over in the model mixed: not a version"),
    ] {
        let said = check(&models, path, 1);
        assert!(said.contains("✗ folder") && said.contains(says), "{path}: {said}");
    }
    assert!(check(&models, "mixed", 0).contains("! ignored      mixed/v2 is not a version number"));
    assert!(check(&models, "", 0).contains("! ignored      v1 holds neither"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(models.path("simple"), models.path("linked")).unwrap();
        assert!(check(&models, "linked", 0).contains("linked is a link, which `candor serve` does not follow"));
    }
}

#[test]
fn a_file_is_checked_by_itself() {
    let models = Models::none()
        .with_file("odd name.onnx", sample("iris", "1"))
        .with_file("odd name/model.toml", "titel = 1")
        .with_file("broken.onnx", "no graph");
    let said = check(&models, "odd name.onnx", 0);
    assert!(said.contains("1 version of 1 model") && said.contains("✓ manifest     there is none"), "{said}");
    assert!(check(&models, "broken.onnx", 1).contains("✗ graph"));
    let inside = Models::copies(&["iris"]);
    assert!(check(&inside, "iris/1/model.onnx", 0).contains("5 of 5 pairs answered rightly"));
}

#[test]
fn a_version_that_is_not_served_keeps_nothing_from_being_served() {
    let models =
        Models::none().with_file("m/1/model.onnx", "no graph").with_file("m/2/model.onnx", sample("iris", "1"));
    let said = check(&models, "m", 0);
    assert!(
        said.contains("version 1 (the version policy does not serve it)\n    ✓ file         8 B\n    ! graph"),
        "{said}"
    );
    assert!(check(&models, "m/1", 1).contains("✗ graph"), "who asks for it wants to know");
    models.write("m/model.toml", "versions = [\"1\"]\n");
    check(&models, "m", 1);
}

#[test]
fn manifests_of_others_are_named_and_their_titles_known() {
    let models = Models::none();
    copy(&samples().join("../tests/fixtures/mlflow/flowers"), &models.path("flowers"));
    let said = check(&models, "flowers", 0);
    assert!(said.contains("✓ manifest     MLmodel agrees with the graph"), "{said}");
    assert!(said.contains("! about        no ") && !said.contains("no title"), "{said}");
}

#[test]
fn all_faults_of_a_manifest_are_told() {
    let models = Models::none().with_file("m/1/model.onnx", sample("iris", "1")).with_file(
        "m/model.toml",
        "[[inputs]]\nname = \"features\"\nfeatures = [{ name = \"a\", min = 3, max = 1 }, { name = \"b\" }, \
         { name = \"c\" }, { name = \"d\" }]\n\
         [[outputs]]\nname = \"probabilities\"\nlabels = [\"x\", \"x\"]\n",
    );
    let said = check(&models, "m", 1);
    for says in [
        "two classes of 'probabilities' are called 'x'",
        "labels of 'probabilities' do not fit the graph",
        "feature 'a' has a range that nothing is in",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    let report = run(&["model", "check", models.path("m").to_str().unwrap(), "--json"]).out;
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["failed"], 3);
}

#[test]
fn the_golden_pair_of_the_documentation_is_right_and_a_wrong_one_is_told() {
    let page = include_str!("../../docs/REPOSITORIES.md");
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let models = Models::none().with_file("iris/1/model.onnx", sample("iris", "2"));
    models.write("iris/1/golden.json", example);
    assert!(check(&models, "iris", 0).contains("✓ golden       1 of 1 pair answered rightly, made by onnxruntime"));
    for (right, wrong, says) in [
        ("\"name\": \"one setosa\",", "", "missing field `name`"),
        ("\"data\": [0]", "\"data\": [1]", "output 'label' has 0 at element 0, wanted 1"),
        ("\"cases\"", "\"pairs\": [], \"cases\"", "unknown field `pairs`"),
    ] {
        models.write("iris/1/golden.json", example.replace(right, wrong));
        assert!(check(&models, "iris", 1).contains(says), "{says}");
    }
}
