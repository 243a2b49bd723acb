//! What lies in the model repository: broken, hostile and misplaced files; polling; who may use the folders.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use candor_tests::{
    Models, Plan, TestServer,
    infer::{body, iris, outputs, path, simple, tensor},
    models::{fixture, sample},
    until,
};
use serde_json::{Value, json};

use super::refusal::still_answers;

/// State and reason of one version of a model; of the model itself, if the version is empty.
fn state(server: &TestServer, model: &str, version: &str) -> (String, String) {
    let rows = server.index_of(model);
    let row = rows.iter().find(|row| row["version"].as_str().unwrap_or_default() == version);
    let row = row.unwrap_or_else(|| panic!("{model}/{version} is not in {rows:?}"));
    (row["state"].as_str().unwrap().to_owned(), row["reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_bad_file_stops_no_other() {
    let good = sample("simple", "1");
    let flipped: Vec<u8> = good.iter().map(|byte| byte ^ 0x55).collect();
    let wrong_golden = fs::read_to_string(candor_tests::models::samples().join("simple/1/golden.json")).unwrap();
    let wrong_golden = wrong_golden.replace("[1,2,3,4,5", "[9,2,3,4,5");
    let models = Models::copies(&["iris"])
        .with_file("garbage/1/model.onnx", "this is text")
        .with_file("zeros/1/model.onnx", vec![0; 4096])
        .with_file("flipped/1/model.onnx", flipped)
        .with_file("cut/1/model.onnx", &good[..good.len() - 1])
        .with_file("half/1/model.onnx", &good[..good.len() / 2])
        .with_file("empty/1/model.onnx", "")
        .with_file("pointer/1/model.onnx", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        .with_file("pickle/1/model.onnx", b"\x80\x04\x95\x00\x00\x00\x00cos\nsystem\n")
        .with_file("operator/1/model.onnx", fixture("refused_operator"))
        .with_file("rank/1/model.onnx", fixture("refused_rank_9"))
        .with_file("golden/1/model.onnx", &good)
        .with_file("golden/1/golden.json", wrong_golden)
        .with_file("golden_text/1/model.onnx", &good)
        .with_file("golden_text/1/golden.json", "{")
        .with_file("manifest/1/model.onnx", &good)
        .with_file("manifest/model.toml", "titel = 'x'")
        .with_file("folder/1/model.onnx/x", "")
        .with_file("nothing/model.toml", "title = 'x'");
    let server = Plan::with(models).start();
    for (model, version, says) in [
        ("garbage", "1", "not an ONNX model"),
        ("zeros", "1", ""),
        ("flipped", "1", ""),
        ("cut", "1", ""),
        ("half", "1", ""),
        ("empty", "1", "model.onnx is empty"),
        ("pointer", "1", "pointers to files elsewhere are not models"),
        ("pickle", "1", ""),
        ("operator", "1", ""),
        ("rank", "1", "9 dimensions"),
        ("golden", "1", "golden case 'count and ones' failed: output 'OUTPUT0' has 1 at element 0, wanted 9"),
        ("golden_text", "1", "golden.json"),
        ("manifest", "", "unknown field `titel`"),
        ("folder", "", "has no version to serve"),
        ("nothing", "", "put the file at <model>/1/model.onnx"),
    ] {
        let (state, reason) = state(&server, model, version);
        assert!(state == "UNAVAILABLE" && !reason.is_empty() && reason.contains(says), "{model}: {state} {reason}");
        assert!(!reason.contains(&server.models().root().display().to_string()), "{model} gives away a path: {reason}");
        assert_eq!(server.post(&path(model), &simple(1)).status, 503, "{model}");
    }
    still_answers(server.addr());
    server.stop_and_expect_clean();
}

#[test]
fn versions_are_numbers_and_nothing_is_reached_through_a_link() {
    let models = Models::copies(&["simple"]);
    let good = sample("simple", "1");
    for folder in ["v2", "02", "0", "latest", "2x", "1.2.3.4.5", " 3", "-4", "٣"] {
        models.write(&format!("simple/{folder}/model.onnx"), &good);
    }
    models.write("elsewhere/model.onnx", &good);
    symlink(models.path("elsewhere"), models.path("simple/7")).unwrap();
    fs::create_dir(models.path("simple/8")).unwrap();
    symlink(models.path("elsewhere/model.onnx"), models.path("simple/8/model.onnx")).unwrap();
    symlink(models.path("simple"), models.path("linked")).unwrap();
    fs::create_dir(models.path("half_linked")).unwrap();
    symlink(models.path("elsewhere/model.onnx"), models.path("half_linked/model.onnx")).unwrap();
    fs::write(models.path("simple/model.toml"), "versions = 'all'\n").unwrap();
    models.write("dotted/1.4.0/model.onnx", &good);
    models.write("dotted/1.10.0/model.onnx", &good);
    let server = Plan::with(models.with_copy("iris")).start();
    assert_eq!(server.get("/v2/models/simple").expect(200).json()["versions"], json!(["1"]));
    for version in ["7", "8"] {
        assert_ne!(server.post(&format!("/v2/models/simple/versions/{version}/infer"), &simple(1)).status, 200);
    }
    assert_eq!(server.get("/v2/models/linked").status, 404);
    assert_eq!(server.load("linked").status, 404);
    assert_ne!(server.post(&path("half_linked"), &simple(1)).status, 200);
    assert!(state(&server, "half_linked", "").1.contains("links are not followed"));
    // Versions are ordered as numbers, not as text.
    assert_eq!(server.post(&path("dotted"), &simple(1)).expect(200).json()["model_version"], "1.10.0");
    // A file beside no version folder is version 1.
    assert_eq!(server.post(&path("elsewhere"), &simple(1)).expect(200).json()["model_version"], "1");
    still_answers(server.addr());
}

#[test]
fn a_file_that_cannot_be_read_is_one_failed_model() {
    let models = Models::copies(&["simple", "iris"]);
    let file = models.path("simple/1/model.onnx");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Whoever may read everything sees no difference, and nothing is shown here then.
    let unreadable = fs::File::open(&file).is_err();
    let server = Plan::with(models).start();
    if unreadable {
        assert!(state(&server, "simple", "1").1.contains("cannot read model.onnx"));
    }
    still_answers(server.addr());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(server.load("simple").status, 200);
}

#[test]
fn a_file_may_be_too_large() {
    let server = Plan::with(Models::copies(&["simple", "iris", "digits"])).set("limits.model_bytes_max=4 KiB").start();
    let (state, reason) = state(&server, "digits", "1");
    assert_eq!(state, "UNAVAILABLE");
    assert!(reason.contains("too large; expected at most 4096 bytes (limits.model_bytes_max), got"), "{reason}");
    still_answers(server.addr());
}

/// A length-delimited field of a protobuf message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 1 << 14);
    [&[number << 3 | 2, bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8][..], bytes].concat()
}

/// A number in a protobuf message.
fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// `y = x + w` over four floats, where `w` lies at `location`.
fn with_weights_at(location: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let external = [number(1, 4), number(2, 1), field(8, b"w"), entry("location", location), number(14, 1)].concat();
    let info = |name: &str| {
        let shape = field(2, &field(1, &number(1, 4)));
        let of_type = field(2, &field(1, &[number(1, 1), shape].concat()));
        [field(1, name.as_bytes()), of_type].concat()
    };
    let add = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Add")].concat();
    let graph =
        [field(1, &add), field(2, b"g"), field(5, &external), field(11, &info("x")), field(12, &info("y"))].concat();
    [number(1, 8), field(7, &graph), field(8, &[field(1, b""), number(2, 18)].concat())].concat()
}

#[test]
fn weights_come_from_the_models_own_folder_only() {
    let weights: Vec<u8> = [10_f32, 20.0, 30.0, 40.0].iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let models = Models::copies(&["iris"]).with_file("secret.bin", &weights);
    let secret = models.path("secret.bin");
    models.write("inside/1/model.onnx", with_weights_at("w.bin"));
    models.write("inside/1/w.bin", &weights);
    models.write("absolute/1/model.onnx", with_weights_at(secret.to_str().unwrap()));
    models.write("above/1/model.onnx", with_weights_at("../../secret.bin"));
    models.write("roundabout/1/model.onnx", with_weights_at("x/../../../secret.bin"));
    models.write("linked/1/model.onnx", with_weights_at("w.bin"));
    symlink(&secret, models.path("linked/1/w.bin")).unwrap();
    models.write("passwords/1/model.onnx", with_weights_at("/etc/passwd"));
    models.write("memory/1/model.onnx", with_weights_at("*/_ORT_MEM_ADDR_/*"));
    models.write("missing/1/model.onnx", with_weights_at("none.bin"));
    let server = Plan::with(models).start();
    let ones = body(&[tensor("x", "FP32", &[4], json!([1, 1, 1, 1]))]);
    assert_eq!(json!(outputs(&server.post(&path("inside"), &ones))[0].elements()), json!([11.0, 21.0, 31.0, 41.0]));
    for (model, says) in [
        ("absolute", "outside the model's folder"),
        ("above", "outside the model's folder"),
        ("roundabout", ""),
        ("linked", "links are not followed"),
        ("passwords", "outside the model's folder"),
        ("memory", ""),
        ("missing", "cannot be found"),
    ] {
        let (state, reason) = state(&server, model, "1");
        assert!(
            state == "UNAVAILABLE" && reason.contains("external data") && reason.contains(says),
            "{model}: {reason}"
        );
        assert_eq!(server.post(&path(model), &ones).status, 503, "{model}");
    }
    still_answers(server.addr());
}

#[test]
fn polling_follows_the_folder() {
    let models = Models::copies(&["iris"]).with_file("swapped/1/model.onnx", sample("iris", "1"));
    let server = Plan::with(models).set("repository.poll_s=1").start();
    let answer = |model: &str| {
        let reply = server.post(&path(model), &iris());
        (reply.status == 200).then(|| outputs(&reply)[1].elements())
    };
    let (before, models) = (answer("swapped").unwrap(), server.models());
    models.write("swapped/1/model.onnx", sample("iris", "2"));
    let after = until("the changed file is served", || answer("swapped").filter(|got| *got != before));
    models.write("new/1/model.onnx", sample("iris", "1"));
    assert_eq!(until("the new model is served", || answer("new")), before);
    models.write("new/2/model.onnx", sample("iris", "2"));
    until("the new version is served", || answer("new").filter(|got| *got == after));
    models.write("swapped/1/model.onnx", "broken");
    until("the broken file is noticed", || state(&server, "swapped", "1").1.contains("reload failed").then_some(()));
    assert_eq!(answer("swapped"), Some(after.clone()), "what was there stays");
    models.remove("new/2");
    until("the version that is left is served", || answer("new").filter(|got| *got == before));
    models.remove("new");
    until("the model is gone", || {
        (server.post(&path("new"), &iris()).status == 503 || server.get("/v2/models/new").status == 404).then_some(())
    });
    models.write("swapped/1/model.onnx", sample("iris", "1"));
    until("the mended file is served", || answer("swapped").filter(|got| *got == before));
    still_answers(server.addr());
    server.stop_and_expect_clean();
}

#[test]
fn a_repository_that_is_gone_is_a_fault_that_gives_nothing_away() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let root = server.models().root().to_path_buf();
    fs::remove_dir_all(&root).unwrap();
    let folder = root.display().to_string();
    // What is in memory goes on answering, and the server stays ready.
    still_answers(server.addr());
    assert_eq!(server.get("/v2/health/ready").status, 200);
    for reply in [server.get("/health/ready"), server.post("/v2/repository/index", &json!({})), server.load("iris")] {
        assert!(!reply.text().contains(&folder), "{} {}", reply.status, reply.text());
    }
    let index = server.post("/v2/repository/index", &json!({}));
    assert_eq!(index.status, 500, "the request is not to blame: {}", index.text());
    fs::create_dir(&root).unwrap();
}

#[test]
fn a_folder_that_is_no_repository_keeps_the_server_from_starting() {
    for (dir, says) in [
        ("/nowhere/at/all", "cannot open the model repository /nowhere/at/all"),
        (file!(), "cannot open the model repository"),
    ] {
        let error = Plan::default().set(&format!("repository.dir={dir}")).try_start().unwrap_err();
        assert!(error.contains(says) && error.contains("<model>/<version>/model.onnx"), "{error}");
    }
    let models = Models::copies(&["iris"]);
    let file = models.path("iris/1/model.onnx");
    let error = Plan::default().set(&format!("repository.dir={}", file.display())).try_start().unwrap_err();
    assert!(error.contains("is not a folder") && error.contains("not a model file"), "{error}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let first = Plan::with(Models::copies(&["iris"])).start();
    let second = Plan::with(Models::copies(&["iris"])).set(&format!("http.addr={}", first.addr())).try_start();
    let error = second.unwrap_err();
    assert!(error.contains(&format!("cannot listen on {}", first.addr())), "{error}");
    assert!(error.contains("another process listens there; stop it or choose another --http-addr"), "{error}");
    still_answers(first.addr());
}

fn announced(folder: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(folder.join("serving.json")).ok()?).ok()
}

#[test]
fn a_data_folder_belongs_to_one_server_at_a_time() {
    let data = tempfile::TempDir::new().unwrap();
    let folder = data.path().join("made/when/missing");
    let plan = || Plan::with(Models::copies(&["iris"])).set(&format!("data.dir={}", folder.display()));
    let first = plan().start();
    let says = until("it is announced", || announced(&folder));
    assert_eq!(
        says,
        json!({
            "pid": std::process::id(),
            "http": first.addr().to_string(),
            "grpc": first.grpc_addr().to_string(),
            "health": first.health_addr().to_string(),
        })
    );
    let error = plan().try_start().unwrap_err();
    assert!(
        error.contains("another server uses the data folder") && error.contains("its own --data folder"),
        "{error}"
    );
    assert!(announced(&folder).is_some(), "who was refused takes nothing along");
    still_answers(first.addr());
    first.stop_and_expect_clean();
    assert_eq!(announced(&folder), None);
    plan().start().stop_and_expect_clean();
}
