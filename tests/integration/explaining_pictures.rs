//! Explanations for the eye over HTTP: a picture or a report by `Accept`, the same numbers as JSON has, and nothing in a
//! name that becomes markup.

use std::fs;

use candor_tests::{Models, Plan, Reply, Request, TestServer, until};
use serde_json::{Value, json};

const HOSTILE: &str = "<script>alert(1)</script>";

fn server() -> TestServer {
    Plan::with(Models::copies(&["iris", "breast_cancer", "diabetes"])).start()
}

fn rows(model: &str) -> Vec<Value> {
    let path = candor_tests::models::samples().join(model).join("1/golden.json");
    let golden: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let tensors = golden["cases"].as_array().unwrap().iter().map(|case| &case["inputs"][0]);
    let largest = tensors.max_by_key(|tensor| tensor["shape"][0].as_u64()).unwrap();
    let width = usize::try_from(largest["shape"][1].as_u64().unwrap()).unwrap();
    largest["data"].as_array().unwrap().chunks(width).map(|row| json!(row)).collect()
}

fn explain(server: &TestServer, (model, query): (&str, &str), accept: &str, body: &Value) -> Reply {
    let path = format!("/api/v1/models/{model}/explain{query}");
    let request = Request::post(&path).header("Content-Type", "application/json").header("Accept", accept);
    server.send(&request.body(body.to_string()))
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).unwrap()
}

fn is_for_the_eye(reply: &Reply, media_type: &str) {
    assert!(reply.header("content-type").unwrap().starts_with(media_type));
    assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(reply.header("content-disposition").unwrap().starts_with("inline; filename="));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("vary"), Some("accept"));
}

#[test]
fn each_sample_is_numbers_a_picture_or_a_report() {
    let server = server();
    for (model, feature) in [("iris", "petal_length"), ("breast_cancer", "worst_area"), ("diabetes", "bmi")] {
        let body = json!({"rows": rows(model)});
        let numbers = explain(&server, (model, ""), "application/json", &body).expect(200);
        assert_eq!(numbers.header("vary"), Some("accept"));
        assert_eq!(numbers.json()["model"], model);
        let mut drawn = Vec::new();
        for picture in ["", "?picture=waterfall", "?picture=force", "?picture=bar", "?row=1"] {
            let reply = explain(&server, (model, picture), "image/svg+xml", &body).expect(200);
            is_for_the_eye(&reply, "image/svg+xml");
            let svg = text(&reply);
            assert!(svg.starts_with("<svg") && svg.contains(feature), "{model}{picture}: {svg}");
            drawn.push(svg);
        }
        assert_eq!(drawn[0], drawn[1]);
        assert!(drawn[0] != drawn[2] && drawn[0] != drawn[3] && drawn[0] != drawn[4]);
        let reply = explain(&server, (model, ""), "text/html,*/*;q=0.8", &body).expect(200);
        is_for_the_eye(&reply, "text/html");
        let page = text(&reply);
        let sha256 = numbers.json()["sha256"].as_str().unwrap().to_owned();
        for word in [model, feature, sha256.as_str(), "has not stated here to whom you can turn"] {
            assert!(page.contains(word), "{model}: {word}");
        }
    }
}

#[test]
fn parts_of_an_image_are_a_heat_map_with_a_table_beside_it() {
    let server = Plan::with(Models::copies(&["digits", "iris"])).start();
    let ink: Vec<Vec<f64>> =
        (0..8).map(|_| (0..8).map(|column| if (3..5).contains(&column) { 15.0 } else { 0.0 }).collect()).collect();
    let body = |options: Value| {
        json!({"rows": [{"image": [ink]}], "method": "occlusion", "space": "probability", "output": "1",
            "options": options})
    };
    let grid = body(json!({"patch": [2, 2], "cover": "value"}));
    let numbers = explain(&server, ("digits", ""), "application/json", &grid).expect(200).json();
    assert!(numbers["explanations"][0].get("heat").is_none());
    let attributions = numbers["explanations"][0]["outputs"][0]["attributions"].as_array().unwrap();
    let share = |one: &Value| one["attribution"].as_f64().unwrap();
    let by_size = |one: &(usize, &Value), other: &(usize, &Value)| share(one.1).abs().total_cmp(&share(other.1).abs());
    let (strongest, _) = attributions.iter().enumerate().max_by(by_size).unwrap();
    let place = format!("row {}, column {}", strongest / 4 + 1, strongest % 4 + 1);
    let reply = explain(&server, ("digits", ""), "image/svg+xml", &grid).expect(200);
    is_for_the_eye(&reply, "image/svg+xml");
    let svg = text(&reply);
    // The image, the same in grey, and the shares upon it; the text names the strongest part by its place.
    assert_eq!(svg.matches("<image").count(), 3, "{svg}");
    assert!(svg.contains("An image in 4 rows and 4 columns of parts") && svg.contains(&place), "{place}: {svg}");
    assert_eq!(text(&explain(&server, ("digits", "?picture=heat_map"), "image/svg+xml", &grid).expect(200)), svg);
    let bars = text(&explain(&server, ("digits", "?picture=bar"), "image/svg+xml", &grid).expect(200));
    assert!(!bars.contains("<image") && bars.contains("part "));
    let page = text(&explain(&server, ("digits", ""), "text/html", &grid).expect(200));
    assert!(page.contains("<image") && page.contains("<table") && page.contains(&place), "{page}");
    // Parts without a grid: pixel by pixel.
    for options in [json!({"patch": [3, 3], "stride": [2, 2]}), json!({"parts": "superpixels", "superpixels": 6})] {
        let svg = text(&explain(&server, ("digits", ""), "image/svg+xml", &body(options)).expect(200));
        assert!(svg.contains("An image in 8 rows and 8 columns of parts"), "{svg}");
    }
    let table = json!({"rows": [[5.1, 3.5, 1.4, 0.2]]});
    let refused = explain(&server, ("iris", "?picture=heat_map"), "image/svg+xml", &table).expect(400).json();
    assert_eq!((&refused["at"], &refused["expected"]), (&json!("query picture"), &json!("waterfall, force, bar")));
}

#[test]
fn a_report_tells_the_label_that_predict_gives_and_what_would_have_changed_it() {
    let server = server();
    let rows = rows("iris");
    let predicted = server.post("/api/v1/models/iris/predict", &json!({"rows": rows})).expect(200).json();
    for (row, prediction) in predicted["predictions"].as_array().unwrap().iter().enumerate() {
        let body = json!({"rows": rows, "id": "Application 4711"});
        let query = format!("?row={row}&counterfactuals=true");
        let page = text(&explain(&server, ("iris", &query), "text/html", &body).expect(200));
        let label = prediction["label"].as_str().unwrap();
        assert!(page.contains(&format!("evidence for {label}")), "{label}");
        assert!(page.contains("Application 4711") && page.contains(" cm"));
        assert!(!page.contains("nobody looked for values"));
    }
}

#[test]
fn an_owner_says_to_whom_one_can_turn_and_no_name_becomes_markup() {
    let models = Models::copies(&["iris"]);
    let path = models.path("iris/model.toml");
    let manifest = fs::read_to_string(&path).unwrap().replace("petal_length", HOSTILE);
    let manifest = manifest.replace("setosa", "<img src=x onerror=alert(1)>");
    let contact = "\n[explain]\ncontact = \"\"\"\nWrite to <b>appeals</b>@example.org\nwithin a month.\"\"\"\n";
    fs::write(&path, manifest.split("\n[explain]").next().unwrap().to_owned() + contact).unwrap();
    let server = Plan::with(models).start();
    let body = json!({"rows": [[5.1, 3.5, 1.4, 0.2]], "id": "\"><script>"});
    for (accept, query) in [("text/html", "?counterfactuals=true"), ("image/svg+xml", "")] {
        let shown = text(&explain(&server, ("iris", query), accept, &body).expect(200));
        assert!(!shown.contains("<script") && !shown.contains("<img src=x") && !shown.contains("<b>"), "{accept}");
        assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{accept}");
        if accept == "text/html" {
            assert!(shown.contains("&lt;b&gt;appeals&lt;/b&gt;@example.org") && shown.contains("within a month."));
        }
    }
}

#[test]
fn what_there_is_not_is_refused_with_what_there_is() {
    let server = server();
    let body = json!({"rows": [[5.1, 3.5, 1.4, 0.2]]});
    let refused = explain(&server, ("iris", ""), "image/png", &body).expect(406).json();
    for there in ["application/json", "image/svg+xml", "text/html"] {
        assert!(refused["expected"].as_str().unwrap().contains(there), "{refused}");
    }
    for (query, accept, at) in [
        ("?picture=pie", "image/svg+xml", "query picture"),
        ("?row=1", "image/svg+xml", "query row"),
        ("?row=-1", "text/html", "query row"),
        ("?counterfactuals=perhaps", "text/html", "query counterfactuals"),
        ("?picture=bar", "text/html", "query picture"),
        ("?picture=bar", "application/json", "query picture"),
    ] {
        let refused = explain(&server, ("iris", query), accept, &body).expect(400).json();
        assert_eq!(refused["at"], at, "{query}");
    }
}

#[test]
fn the_result_of_a_job_is_numbers_pictures_or_a_report() {
    let server = server();
    let order = json!({"rows": rows("diabetes"), "keep_rows": true, "features": ["bmi", "s5"],
        "parts": ["attributions", "partial_dependence", "local_effects"]});
    let job = server.post("/api/v1/models/diabetes/explain/global", &order).expect(202).json();
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    until("the job is over", || (server.get(&path).expect(200).json()["state"] == "succeeded").then_some(()));
    let get = |query: &str, accept: &str| {
        server.send(&Request::get(format!("{path}/result{query}")).header("Accept", accept))
    };
    let numbers = get("", "application/json").expect(200).json();
    assert_eq!(numbers["model"], "diabetes");
    for query in [
        "",
        "?picture=bar",
        "?picture=beeswarm",
        "?picture=dependence&feature=bmi",
        "?picture=partial_dependence&feature=bmi",
        "?picture=local_effects&feature=bmi",
    ] {
        let reply = get(query, "image/svg+xml").expect(200);
        is_for_the_eye(&reply, "image/svg+xml");
        let svg = text(&reply);
        assert!(svg.starts_with("<svg") && svg.contains("bmi"), "{query}: {svg}");
        assert!(!svg.contains("There is no") && !svg.contains("There are not enough"), "{query}: {svg}");
    }
    let reply = get("", "text/html").expect(200);
    is_for_the_eye(&reply, "text/html");
    let page = text(&reply);
    assert!(page.contains("s5") && page.contains(numbers["sha256"].as_str().unwrap()));
    assert_eq!(get("", "image/png").status, 406);
    for query in ["?picture=importance", "?picture=pie", "?picture=dependence&feature=none", "?output=none", "?x=1"] {
        assert_eq!(get(query, "image/svg+xml").status, 400, "{query}");
    }
}
