//! The pictures in docs/pictures are those that the code draws, and the page shows each.

use std::{fs, path::Path};

use crate::small;

#[test]
fn the_pictures_of_the_docs_are_what_is_drawn() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = fs::read_to_string(docs.join("PICTURES.md")).unwrap();
    for (name, svg) in small::all() {
        let file = docs.join("pictures").join(format!("{name}.svg"));
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == svg,
            "docs/pictures/{name}.svg is stale; run `cargo run -p candor-pictures --example gallery -- --docs`, look at it, \
             and commit it"
        );
        assert!(page.contains(&format!("](pictures/{name}.svg)")), "{name} is not shown in docs/PICTURES.md");
        assert!(svg.len() < 40_000, "{name}: {} bytes are too many for the docs", svg.len());
    }
}
