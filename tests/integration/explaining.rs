//! Explanations of real models over HTTP: they add up to what is served, agree with each other, are the same bytes
//! twice, and say how they came about.

use candor_tests::{Models, Plan, Request, TestServer};
use serde_json::{Value, json};

pub fn server() -> TestServer {
    Plan::with(Models::copies(&["iris", "breast_cancer", "diabetes"])).start()
}

/// Rows of a model's golden pairs.
pub fn rows(model: &str) -> Vec<Value> {
    let path = candor_tests::models::samples().join(model).join("1/golden.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    let tensors = cases.iter().map(|case| &case["inputs"][0]);
    let largest = tensors.max_by_key(|tensor| tensor["shape"][0].as_u64()).unwrap();
    let width = largest["shape"][1].as_u64().unwrap() as usize;
    largest["data"].as_array().unwrap().chunks(width).map(|row| json!(row)).collect()
}

pub fn explain(server: &TestServer, model: &str, body: &Value) -> Value {
    server.post(&format!("/api/v1/models/{model}/explain"), body).expect(200).json()
}

fn outputs(explained: &Value) -> Vec<&Value> {
    let rows = explained["explanations"].as_array().unwrap();
    rows.iter().flat_map(|row| row["outputs"].as_array().unwrap()).collect()
}

/// Shares of an output by feature.
pub fn shares(output: &Value) -> Vec<f64> {
    let attributions = output["attributions"].as_array().unwrap();
    attributions.iter().map(|one| one["attribution"].as_f64().unwrap()).collect()
}

/// By the answer's own numbers, not by what it says of them.
fn adds_up(output: &Value, relative: f64) {
    let (base, value) = (output["base_value"].as_f64().unwrap(), output["value"].as_f64().unwrap());
    let shares = shares(output);
    let size = base.abs() + shares.iter().map(|share| share.abs()).sum::<f64>();
    let residual = base + shares.iter().sum::<f64>() - value;
    assert!(residual.abs() <= relative * size, "{residual} of {size}");
    assert_eq!(output["additivity"]["holds"], true);
}

fn logistic(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

#[test]
fn auto_explains_each_sample_exactly_and_to_what_predict_answers() {
    let server = server();
    for (model, method, space) in
        [("iris", "linear", "margin"), ("breast_cancer", "tree", "margin"), ("diabetes", "tree", "raw")]
    {
        let rows = rows(model);
        let explained = explain(&server, model, &json!({"rows": rows}));
        assert_eq!((&explained["method"]["name"], &explained["space"]), (&json!(method), &json!(space)), "{model}");
        assert!(explained["method"]["reason"].as_str().unwrap().starts_with("the graph is "));
        assert_eq!(explained["evaluations"], 0);
        let predicted = server.post(&format!("/api/v1/models/{model}/predict"), &json!({"rows": rows})).expect(200);
        let predicted = predicted.json();
        for (row, prediction) in
            explained["explanations"].as_array().unwrap().iter().zip(predicted["predictions"].as_array().unwrap())
        {
            let margins: Vec<f64> =
                row["outputs"].as_array().unwrap().iter().map(|one| one["value"].as_f64().unwrap()).collect();
            for (at, output) in row["outputs"].as_array().unwrap().iter().enumerate() {
                adds_up(output, 1e-9);
                assert_eq!(output["served"]["agrees"], true, "{output}");
                let name = output["output"].as_str().unwrap();
                let (served, own) = match model {
                    "diabetes" => (&prediction["value"], margins[at]),
                    "breast_cancer" => (&prediction["probabilities"][name], logistic(margins[at])),
                    _ => {
                        let largest = margins.iter().copied().fold(f64::MIN, f64::max);
                        let sum: f64 = margins.iter().map(|margin| (margin - largest).exp()).sum();
                        (&prediction["probabilities"][name], (margins[at] - largest).exp() / sum)
                    }
                };
                assert_eq!(served, &output["served"]["value"], "{model} {name}");
                let served = served.as_f64().unwrap();
                assert!((own - served).abs() <= 1e-5 * served.abs().max(1.0), "{model} {name}: {own} {served}");
            }
        }
        // What identifies model, engine and background.
        for member in ["/sha256", "/engine/sha256", "/background/sha256"] {
            assert_eq!(explained.pointer(member).unwrap().as_str().unwrap().len(), 64, "{member}");
        }
        let shown = server.get(&format!("/api/v1/models/{model}")).expect(200).json();
        assert_eq!(explained["sha256"], shown["sha256"]);
    }
}

#[test]
fn a_sampled_method_with_every_coalition_and_enumeration_agree_with_the_graph() {
    let server = server();
    let question =
        |method: &str| json!({"rows": rows("iris"), "method": method, "space": "probability", "output": "versicolor"});
    let exact = explain(&server, "iris", &question("exact"));
    let kernel = explain(&server, "iris", &question("kernel"));
    // An engine of single precision answers a row in a batch and alone with other last digits.
    for (one, other) in outputs(&exact).into_iter().zip(outputs(&kernel)) {
        adds_up(one, 1e-6);
        for (one, other) in shares(one).iter().zip(shares(other)) {
            assert!((one - other).abs() < 1e-6, "{one} {other}");
        }
    }
    // Trees: what reads the graph, and what only asks it, and sees margins by the logit of singles.
    let grouped = |method: &str| {
        let shown = server.get("/api/v1/models/breast_cancer").expect(200).json();
        let names: Vec<String> =
            shown["features"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        let groups: serde_json::Map<String, Value> =
            names.chunks(5).enumerate().map(|(at, chunk)| (format!("g{at}"), json!(chunk))).collect();
        json!({"rows": rows("breast_cancer"), "method": method, "space": "margin", "output": "malignant",
            "groups": groups})
    };
    let (exact, tree) =
        (explain(&server, "breast_cancer", &grouped("exact")), explain(&server, "breast_cancer", &grouped("tree")));
    assert_eq!(exact["features"], json!(["g0", "g1", "g2", "g3", "g4", "g5"]));
    for (one, other) in outputs(&exact).into_iter().zip(outputs(&tree)) {
        adds_up(other, 1e-6);
        for (one, other) in shares(one).iter().zip(shares(other)) {
            assert!((one - other).abs() < 1e-3, "{one} {other}");
        }
    }
}

#[test]
fn the_same_question_has_the_same_bytes_also_after_a_restart_and_another_seed_has_others() {
    let body = |seed: u64| json!({"rows": rows("breast_cancer"), "method": "kernel", "budget": 200, "seed": seed, "id": "mine"});
    let ask = |server: &TestServer, seed: u64| {
        server.post("/api/v1/models/breast_cancer/explain", &body(seed)).expect(200).text()
    };
    let server = server();
    let first = ask(&server, 7);
    assert_eq!(ask(&server, 7), first);
    let other = ask(&server, 8);
    assert_ne!(other, first);
    server.stop_and_expect_clean();
    assert_eq!(ask(&self::server(), 7), first);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["seed"], &first["budget"], &first["id"]), (&json!(7), &json!(200), &json!("mine")));
    assert!(first["explanations"][0]["evaluations"].as_u64().unwrap() > 0);
    let errors = outputs(&first)[0]["attributions"].as_array().unwrap();
    assert!(errors.iter().all(|one| one["standard_error"].as_f64().unwrap() >= 0.0));
}

#[test]
fn a_prediction_brings_its_explanation_along_and_costs_nothing_to_who_does_not_ask() {
    let server = server();
    let (body, path) = (json!({"rows": rows("iris"), "id": "x"}), "/api/v1/models/iris/predict");
    let plain = server.post(path, &body).expect(200).json();
    assert!(plain.get("explanation").is_none());
    let both = server.post(&format!("{path}?explain=true&output=setosa,2"), &body).expect(200).json();
    assert_eq!(both["predictions"], plain["predictions"]);
    assert_eq!((&both["explanation"]["version"], &both["id"]), (&both["version"], &json!("x")));
    let alone = json!({"rows": rows("iris"), "output": ["setosa", 2]});
    assert_eq!(both["explanation"], explain(&server, "iris", &alone));
    let named: Vec<&Value> = outputs(&both["explanation"])[..2].iter().map(|one| &one["output"]).collect();
    assert_eq!(named, ["setosa", "virginica"]);
    // A version that is named; what is asked in the body.
    let asked = json!({"rows": rows("iris"), "explain": {"method": "exact", "space": "probability"}});
    let old = server.post("/api/v1/models/iris/versions/1/predict?explain=1", &asked).expect(200).json();
    assert_eq!((&old["version"], &old["explanation"]["version"]), (&json!("1"), &json!("1")));
    assert_eq!(old["explanation"]["method"]["name"], "exact");
    // The member is for those that ask.
    assert_eq!(server.post(path, &asked).status, 400);
    let zipped = Request::post(format!("{path}?explain=true")).header("Accept-Encoding", "gzip").json(&body);
    let zipped = server.send(&zipped).expect(200);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
}

#[test]
fn tables_of_every_form_are_explained_with_the_question_in_the_query_string() {
    let server = server();
    let want = explain(&server, "iris", &json!({"rows": [[5.1, 3.5, 1.4, 0.2]], "method": "exact", "seed": 3}));
    let csv = "sepal_width,sepal_length,petal_length,petal_width\n3.5,5.1,1.4,0.2\n";
    for (media_type, body) in [("text/csv", csv), ("application/jsonl", "[5.1,3.5,1.4,0.2]\n")] {
        let request =
            Request::post("/api/v1/models/iris/explain?method=exact&seed=3").header("Content-Type", media_type);
        assert_eq!(server.send(&request.body(body)).expect(200).json(), want, "{media_type}");
    }
    let columns = json!({"columns": {"sepal_length": [5.1], "sepal_width": [3.5], "petal_length": [1.4],
        "petal_width": [0.2]}, "method": "exact", "seed": 3});
    assert_eq!(explain(&server, "iris", &columns), want);
    let attributions = outputs(&want)[0]["attributions"].as_array().unwrap();
    assert_eq!((&attributions[0]["feature"], &attributions[0]["value"]), (&json!("sepal_length"), &json!(5.1)));
}

#[test]
fn interactions_add_up_to_shares_and_lime_does_not_claim_to_add_up() {
    let server = server();
    let asked = json!({"rows": rows("breast_cancer")[..1], "method": "tree", "interactions": true, "output": 0});
    let explained = explain(&server, "breast_cancer", &asked);
    let output = outputs(&explained)[0];
    let lines = output["interactions"].as_array().unwrap();
    for (line, share) in lines.iter().zip(shares(output)) {
        let sum: f64 = line.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).sum();
        assert!((sum - share).abs() < 1e-9, "{sum} {share}");
    }
    let lime = explain(&server, "iris", &json!({"rows": rows("iris")[..1], "method": "lime", "output": "setosa"}));
    assert_eq!((&lime["method"]["additive"], &lime["method"]["sampled"]), (&json!(false), &json!(true)));
    assert_eq!(outputs(&lime)[0]["served"]["agrees"], true);
}

#[test]
fn an_image_is_explained_by_covering_parts_of_it() {
    let server = Plan::with(Models::copies(&["digits"])).start();
    let image: Vec<Vec<f64>> =
        (0..8).map(|row| (0..8).map(|column| f64::from((row * column) % 16)).collect()).collect();
    let question = json!({"rows": [{"image": [image]}], "method": "occlusion", "output": "0", "space": "probability",
        "options": {"patch": [4, 4], "cover": "value"}});
    let explained = explain(&server, "digits", &question);
    let row = &explained["explanations"][0];
    assert_eq!(row["areas"], json!([[0, 0, 4, 4], [0, 4, 4, 4], [4, 0, 4, 4], [4, 4, 4, 4]]));
    assert_eq!(explained["features"], json!(["part 0", "part 1", "part 2", "part 3"]));
    let output = &row["outputs"][0];
    assert_eq!(output["served"]["agrees"], true);
    // The first part, covered by hand.
    let mut covered = image.clone();
    covered.iter_mut().take(4).for_each(|row| row.iter_mut().take(4).for_each(|pixel| *pixel = 0.0));
    let predict = |image: &Vec<Vec<f64>>| {
        let reply = server.post("/api/v1/models/digits/predict", &json!({"rows": [{"image": [image]}]})).expect(200);
        reply.json()["predictions"][0]["probabilities"]["0"].as_f64().unwrap()
    };
    let share = predict(&image) - predict(&covered);
    assert!((shares(output)[0] - share).abs() < 1e-6, "{} {share}", shares(output)[0]);
    // Each pixel by itself: one player is too many for enumeration, so that it is sampled.
    let pixels = explain(&server, "digits", &json!({"rows": [{"image": [image]}], "output": 0, "budget": 300}));
    assert_eq!((&pixels["method"]["name"], &pixels["features"][9]), (&json!("kernel"), &json!("image[0,1,1]")));
}

#[test]
fn a_model_of_several_parts_is_explained_by_asking_it_and_not_by_its_graph() {
    let manifest = r#"
[explain]
background = "rows.jsonl"
[ensemble]
members = [
    { model = "iris", version = "1", output = "probabilities" },
    { model = "iris", version = "2", output = "probabilities" },
]
combiner = { component = "candor.vote", config = { voting = "soft", weights = [1, 1] } }
"#;
    let models = Models::copies(&["iris"])
        .with_file("vote/model.toml", manifest)
        .with_file("vote/rows.jsonl", "[6.0,3.0,5.0,1.8]\n[6.1,2.9,4.7,1.4]\n");
    let server = Plan::with(models).start();
    let explained = explain(&server, "vote", &json!({"rows": [[5.1, 3.5, 1.4, 0.2]]}));
    assert_eq!(explained["method"]["name"], "exact");
    let reason = explained["method"]["reason"].as_str().unwrap();
    assert!(reason.contains("its answers are not made by one graph alone"), "{reason}");
    assert_eq!((&explained["background"]["id"], &explained["background"]["rows"]), (&json!("rows.jsonl"), &json!(2)));
    outputs(&explained).into_iter().for_each(|output| adds_up(output, 1e-6));
    let refused =
        server.post("/api/v1/models/vote/explain", &json!({"rows": [[5.1, 3.5, 1.4, 0.2]], "method": "tree"}));
    assert_eq!((refused.status, refused.json()["pointer"].as_str()), (501, Some("/method")), "{}", refused.text());
}
