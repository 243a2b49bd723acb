//! Writes every picture and both reports, to be looked at: `cargo run -p candor-pictures --example gallery [FOLDER]`.
//!
//! Without a FOLDER into target/pictures. With `--docs` it writes the small pictures of docs/PICTURES.md instead.

mod samples;

use std::{fs, path::Path};

use candor_pictures::{Style, pictures};

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::args().nth(1).map_or_else(|| root.join("target/pictures"), Into::into);
    fs::create_dir_all(&folder)?;
    for (width, end) in [(720, ""), (340, "-narrow")] {
        let style = Style { width, ..Style::default() };
        for (name, decision) in
            [("credit", samples::credit()), ("house", samples::house()), ("hostile", samples::hostile())]
        {
            fs::write(folder.join(format!("waterfall-{name}{end}.svg")), pictures::waterfall(&decision, &style))?;
        }
    }
    Ok(())
}
