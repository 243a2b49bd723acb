//! What a plugin may ask of the host, in the server's process and in one of its own: files of its model's folder, and
//! numbers that stand in the metrics.

use std::{fs, os::unix::fs::symlink, path::Path};

use candor_tests::{
    Models, Plan, TestServer,
    counters::{Sample, Scrape, scrape},
    infer::outputs,
    process,
};
use serde_json::json;

use super::{cli_plugin::c_plugin, lifecycle::BINARY};

const MANIFEST: &str = "[plugin]\ncomponent = \"test.telling\"\nconfig = { of = { file = \"FILE\" } }\n";

/// A server with the plugin, and models of it by their names, each with the file that its configuration names.
fn server(isolation: &str, models: &[(&str, &str)]) -> TestServer {
    let all = models.iter().fold(Models::none(), |all, (name, file)| {
        let all = all.with_file(&format!("{name}/model.toml"), MANIFEST.replace("FILE", file));
        all.with_file(&format!("{name}/1/factor.json"), "{\"factor\": 3}")
    });
    for (name, _) in models {
        symlink("factor.json", all.path(&format!("{name}/1/link.json"))).unwrap();
    }
    let plan = Plan::with(all);
    let (root, store) = (plan.scratch().join("plugins"), plan.scratch().join("store"));
    fs::create_dir(&root).unwrap();
    let folder = c_plugin(&root, "telling", "predictor", &[]);
    let pin = process::run(BINARY, &["plugin", "pin", folder.to_str().unwrap()], &[]).out;
    let pin = pin.trim().trim_end_matches(',');
    let (head, _) = pin.split_once("isolation").unwrap_or_else(|| panic!("{pin}"));
    plan.set(&format!("plugins.folder={}", root.display()))
        .set(&format!("plugins.state_folder={}", store.display()))
        .set(&format!("plugins.allow=[{head}isolation = \"{isolation}\", deadline_ms = 20000 }}]"))
        .change(|settings| settings.plugins.worker.program = Path::new(BINARY).into())
        .start()
}

fn ask(server: &TestServer, data: [f32; 2]) -> Vec<serde_json::Value> {
    let body = json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 1], "data": data}]});
    outputs(&server.post("/v2/models/good/infer", &body))[0].elements().to_vec()
}

/// Scrapes until a number has come, which from another process may take a moment.
#[track_caller]
fn until(server: &TestServer, what: impl Fn(&Scrape) -> bool) -> Scrape {
    for _ in 0..500 {
        let metrics = scrape(server);
        if what(&metrics) {
            return metrics;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("it did not come: {}", server.get("/metrics").text());
}

#[test]
fn a_plugin_has_files_of_its_models_folder_and_of_no_other_place() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "{\"factor\": 9}").unwrap();
    let absolute = secret.path().to_str().unwrap();
    let models =
        [("good", "factor.json"), ("up", "../../good/1/factor.json"), ("away", absolute), ("by_link", "link.json")];
    for isolation in ["process", "in_process"] {
        let server = server(isolation, &models);
        assert_eq!(ask(&server, [1.0, 2.0]), json!([3.0, 6.0]).as_array().unwrap().as_slice(), "{isolation}");
        for (name, file) in &models[1..] {
            let index = server.index_of(name);
            let reason = index[0]["reason"].as_str().unwrap();
            assert!(index[0]["state"] != "READY" && reason.contains(file), "{isolation} {name}: {index:?}");
        }
        server.stop_and_expect_clean();
    }
}

#[test]
fn numbers_that_a_plugin_tells_stand_in_the_metrics() {
    for isolation in ["process", "in_process"] {
        let server = server(isolation, &[("good", "factor.json")]);
        let of = |name| [("plugin", "telling"), ("name", name)];
        let after = |first: f32| {
            ask(&server, [first, 2.0]);
            let is_first = |sample: &Sample| sample.labels["name"] == "first" && sample.value == 3.0 * f64::from(first);
            until(&server, |metrics| metrics.0.iter().any(|one| one.name == "candor_plugin_gauge" && is_first(one)))
        };
        // The server has tried the model before.
        let (before, metrics) = (after(1.0), after(5.0));
        let rise = |name, labels: &[(&str, &str)]| metrics.value(name, labels) - before.value(name, labels);
        assert_eq!(metrics.value("candor_plugin_gauge", &of("first")), 15.0);
        assert_eq!(rise("candor_plugin_counter_total", &of("rows")), 2.0);
        assert_eq!(rise("candor_plugin_counter_total", &[("name", "rows_by_side"), ("side", "left")]), 2.0);
        let bucket = |le| [("name", "size"), ("le", le)];
        assert_eq!(rise("candor_plugin_histogram_bucket", &bucket("0.1")), 0.0);
        assert_eq!(rise("candor_plugin_histogram_bucket", &bucket("1")), 1.0);
        assert_eq!(rise("candor_plugin_histogram_bucket", &bucket("+Inf")), 1.0);
        assert_eq!(rise("candor_plugin_histogram_sum", &of("size")), 1.0);
        assert_eq!(rise("candor_plugin_histogram_count", &of("size")), 1.0);
        assert_eq!(metrics.value("candor_plugin_numbers_dropped_total", &[("plugin", "telling")]), 0.0);

        // 4 that cannot be, and of 200 names those that find no room beside the four that are there.
        ask(&server, [-12345.0, 0.0]);
        let dropped = |metrics: &Scrape| metrics.value("candor_plugin_numbers_dropped_total", &[("plugin", "telling")]);
        let metrics = until(&server, |metrics| dropped(metrics) >= 108.0);
        assert_eq!(dropped(&metrics), 108.0);
        assert_eq!(metrics.value("candor_plugin_gauge", &of("first")), -37035.0);
        assert_eq!(metrics.0.iter().filter(|sample| sample.name == "candor_plugin_gauge").count(), 97);
        assert_eq!(ask(&server, [1.0, 2.0]).len(), 2, "the plugin goes on");
        assert_eq!(metrics.value("candor_plugin_worker_deaths_total", &[("plugin", "telling")]), 0.0);
        server.stop_and_expect_clean();
    }
}
