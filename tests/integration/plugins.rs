//! Plugins of a running server: each stands in the list with its state, is loaded anew by name, and is counted.

use std::fs;

use candor_domain::Access;
use candor_tests::{Plan, Request, TestServer, counters::scrape, process, server::token_of};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    cli_plugin::{bad, begun, make},
    lifecycle::BINARY,
};

/// A server over this folder of plugins, whose processes are those of the real command line.
fn plan(root: &TempDir) -> Plan {
    let plan = Plan::default().empty().without_waiting();
    let store = plan.scratch().join("store");
    plan.set(&format!("plugins.folder={}", root.path().display()))
        .set(&format!("plugins.state_folder={}", store.display()))
        .change(|settings| settings.plugins.worker.program = BINARY.into())
}

/// The same with a plugin that the document's examples name.
pub(super) fn with_acme_scale(plan: Plan) -> Plan {
    let root = plan.scratch().join("plugins");
    fs::create_dir(&root).unwrap();
    let folder = begun(&root.join("acme-scale"), "transform", "c");
    make(&folder, &root);
    let store = plan.scratch().join("store");
    plan.set(&format!("plugins.folder={}", root.display()))
        .set(&format!("plugins.state_folder={}", store.display()))
        .set("plugins.dev=true")
        .change(|settings| settings.plugins.worker.program = BINARY.into())
}

fn names(server: &TestServer, query: &str) -> Vec<String> {
    let list = server.get(&format!("/api/v1/plugins{query}")).expect(200).json();
    let name = |plugin: &Value| plugin["name"].as_str().unwrap().to_owned();
    list["plugins"].as_array().unwrap().iter().map(name).collect()
}

fn reload(server: &TestServer, name: &str) -> candor_tests::Reply {
    server.send(&Request::new("POST", format!("/api/v1/plugins/{name}/reload")))
}

#[test]
fn plugins_are_listed_page_by_page_with_what_they_offer_and_why_not() {
    let root = TempDir::new().unwrap();
    bad(root.path(), &[]);
    for name in ["absent-a", "absent-b"] {
        fs::create_dir(root.path().join(name)).unwrap();
        let manifest = format!(
            "name = '{name}'\nversion = '1.0.0'\nabi = '0.1'\n[[component]]\nid = '{name}.x'\nkinds = ['router']\n"
        );
        fs::write(root.path().join(name).join("plugin.toml"), manifest).unwrap();
    }
    let server = plan(&root).set("plugins.dev=true").start();
    assert_eq!(
        names(&server, ""),
        ["absent-a", "absent-b", "bad", "ensemble", "image", "pooling", "shap", "tokenizer"]
    );
    assert_eq!(names(&server, "?kind=combiner"), ["ensemble"]);
    let built_in = server.get("/api/v1/plugins/tokenizer").expect(200).json();
    assert_eq!((&built_in["isolation"], &built_in["version"]), (&"built-in".into(), &"0.1.0".into()));
    assert_eq!(reload(&server, "tokenizer").status, 501);
    assert_eq!(names(&server, "?state=ready"), ["bad", "ensemble", "image", "pooling", "shap", "tokenizer"]);
    assert_eq!(names(&server, "?state=refused&q=ABSENT-B"), ["absent-b"]);
    assert_eq!(names(&server, "?kind=predictor"), ["bad"]);
    let page = server.get("/api/v1/plugins?page_size=2").expect(200).json();
    assert_eq!(page["next_page_token"], "absent-b");
    assert_eq!(names(&server, "?page_size=2&page_token=absent-b"), ["bad", "ensemble"]);
    for query in ["?state=loaded", "?page_size=0", "?path=/etc"] {
        assert_eq!(server.get(&format!("/api/v1/plugins{query}")).status, 400, "{query}");
    }

    let ready = server.get("/api/v1/plugins/bad").expect(200).json();
    assert_eq!(
        (&ready["state"], &ready["isolation"], &ready["pinned"]),
        (&"ready".into(), &"process".into(), &false.into())
    );
    assert_eq!(ready["components"][0]["config_schema"]["examples"][0]["a"], 1);
    assert_eq!(ready["sha256"].as_str().unwrap().len(), 64);
    let refused = server.get("/api/v1/plugins/absent-a").expect(200).json();
    assert_eq!((&refused["reason"]["code"], &refused["version"]), (&"file".into(), &"1.0.0".into()));
    assert_eq!(server.get("/api/v1/plugins/nobody").status, 404);

    let metrics = scrape(&server);
    assert_eq!(metrics.value("candor_plugin_ready", &[("plugin", "bad")]), 1.0);
    assert_eq!(metrics.value("candor_plugin_ready", &[("plugin", "absent-a")]), 0.0);
    assert_eq!(metrics.value("candor_plugin_calls_total", &[("plugin", "bad"), ("outcome", "success")]), 0.0);
    assert_eq!(metrics.value("candor_plugin_info", &[("plugin", "bad"), ("isolation", "process")]), 1.0);

    let address = format!("http://{}", server.addr());
    let said = process::run(BINARY, &["plugin", "list", "--server", &address], &[]);
    assert!(said.code == Some(0) && said.out.contains("absent-a (file)"), "{said:?}");
    let said = process::run(BINARY, &["plugin", "info", "bad", "--server", &address], &[]);
    assert!(said.code == Some(0) && said.out.contains("test.bad (predictor)"), "{said:?}");
    server.stop_and_expect_clean();
}

#[test]
fn a_plugin_is_loaded_anew_by_name_and_a_bad_library_changes_nothing() {
    let root = TempDir::new().unwrap();
    bad(root.path(), &[]);
    let server = plan(&root).set("plugins.dev=true").start();
    let first = server.get("/api/v1/plugins/bad").expect(200).json();
    bad(root.path(), &["-DLEAKS"]);
    let second = reload(&server, "bad").expect(200).json();
    assert_eq!((&first["generation"], &second["generation"]), (&1.into(), &2.into()));
    assert_ne!(first["sha256"], second["sha256"]);
    bad(root.path(), &["-Wl,-z,execstack"]);
    let refused = reload(&server, "bad").expect(501).json();
    assert!(refused["detail"].as_str().unwrap().contains("(hardening)"), "{refused}");
    let kept = server.get("/api/v1/plugins/bad").expect(200).json();
    assert_eq!((&kept["state"], &kept["sha256"]), (&"ready".into(), &second["sha256"]));
    assert_eq!(kept["reason"]["code"], "hardening");
    // By name, and never by path.
    for name in ["nobody", "..", "%2e%2e%2fbad", "bad%2f..", "/etc"] {
        assert!(matches!(reload(&server, name).status, 400 | 404), "{name}");
    }
    server.stop_and_expect_clean();
}

#[test]
fn only_an_admin_loads_anew() {
    let root = TempDir::new().unwrap();
    bad(root.path(), &[]);
    let server = plan(&root).set("plugins.dev=true").with_tokens().start();
    let knock = |method, path: &str, access| server.send(&Request::new(method, path).token(&token_of(access))).status;
    assert_eq!(knock("POST", "/api/v1/plugins/bad/reload", Access::Operate), 403);
    assert_eq!(knock("POST", "/api/v1/plugins/bad/reload", Access::Admin), 200);
    assert_eq!(knock("GET", "/api/v1/plugins", Access::Infer), 403);
    assert_eq!(knock("GET", "/api/v1/plugins", Access::Observe), 200);
    server.stop_and_expect_clean();
}

#[test]
fn nothing_is_loaded_that_nobody_allowed() {
    let root = TempDir::new().unwrap();
    bad(root.path(), &[]);
    let server = plan(&root).start();
    let refused = server.get("/api/v1/plugins/bad").expect(200).json();
    assert_eq!((&refused["state"], &refused["reason"]["code"]), (&"refused".into(), &"not_allowed".into()));
    assert_eq!(reload(&server, "bad").status, 501);
    server.stop_and_expect_clean();
}
