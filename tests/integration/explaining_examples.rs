//! The examples of docs/EXPLAINABILITY.md: each request that stands there is sent, and each picture is what comes back.
//!
//! With `CANDOR_WRITE_EXAMPLES=1` the pictures are written anew.

use std::{fs, path::PathBuf};

use candor_tests::{Models, Plan, Request, TestServer};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A request of the page: where to, what, and the picture that it makes.
struct Example {
    model: String,
    query: String,
    body: String,
    picture: String,
}

/// Commands of the page that keep a picture.
fn examples() -> Vec<Example> {
    let page = fs::read_to_string(PathBuf::from(ROOT).join("docs/EXPLAINABILITY.md")).unwrap();
    let blocks = page.split("```").skip(1).step_by(2).filter(|block| block.contains("-o docs/pictures/examples/"));
    let read = |block: &str| {
        let between = |from: &str, to: &str| {
            let rest = block.split_once(from).unwrap_or_else(|| panic!("no {from:?} in {block}")).1;
            rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} in {block}")).0.to_owned()
        };
        assert!(block.contains("-H 'Accept: image/svg+xml'"), "{block}");
        let (model, query) = (between("/models/", "/explain"), between("/explain", "'"));
        Example { model, query, body: between("-d '", "' \\\n"), picture: between("-o ", "\n") }
    };
    blocks.map(read).collect()
}

fn draw(server: &TestServer, example: &Example) -> String {
    let path = format!("/api/v1/models/{}/explain{}", example.model, example.query);
    let request = Request::post(&path).header("Content-Type", "application/json").header("Accept", "image/svg+xml");
    String::from_utf8(server.send(&request.body(example.body.clone())).expect(200).body).unwrap() + "\n"
}

#[test]
fn the_pictures_of_the_page_are_what_its_requests_give() {
    let examples = examples();
    assert!(examples.len() >= 4, "{}", examples.len());
    let server = Plan::with(Models::copies(&["iris", "breast_cancer", "diabetes", "digits"])).start();
    let is_writing = std::env::var_os("CANDOR_WRITE_EXAMPLES").is_some();
    for example in &examples {
        assert!(serde_json::from_str::<Value>(&example.body).is_ok(), "{}", example.body);
        let (path, drawn) = (PathBuf::from(ROOT).join(&example.picture), draw(&server, example));
        if is_writing {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, drawn).unwrap();
            continue;
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(drawn == kept, "{} is not what its request gives: CANDOR_WRITE_EXAMPLES=1 writes it", example.picture);
    }
}
