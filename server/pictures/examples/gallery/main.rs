//! Writes every picture and both reports, to be looked at: `cargo run -p candor-pictures --example gallery [FOLDER]`.
//!
//! Without a FOLDER into target/pictures. With `--docs` it writes the small pictures of docs/PICTURES.md instead.
#![allow(clippy::indexing_slicing, reason = "made-up values; nothing from outside is read")]

mod reports;
mod samples;
mod small;

use std::{fs, path::Path};

use candor_pictures::{Style, pictures, report};

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if std::env::args().nth(1).as_deref() == Some("--docs") {
        let folder = root.join("docs/pictures");
        fs::create_dir_all(&folder)?;
        for (name, svg) in small::all() {
            fs::write(folder.join(format!("{name}.svg")), svg)?;
        }
        return Ok(());
    }
    let folder = std::env::args().nth(1).map_or_else(|| root.join("target/pictures"), Into::into);
    fs::create_dir_all(&folder)?;
    for (width, end) in [(720, ""), (340, "-narrow")] {
        let style = Style { width, ..Style::default() };
        let write = |name: &str, text: String| fs::write(folder.join(format!("{name}{end}.svg")), text);
        for (name, decision) in
            [("credit", samples::credit()), ("house", samples::house()), ("hostile", samples::hostile())]
        {
            write(&format!("waterfall-{name}"), pictures::waterfall(&decision, &style))?;
            write(&format!("bar-{name}"), pictures::bar(&decision, &style))?;
            write(&format!("force-{name}"), pictures::force(&decision, &style))?;
        }
        let sample = samples::credits(600);
        write("importance", pictures::importance(&samples::weights(), &style))?;
        write("beeswarm", pictures::beeswarm(&sample, &style))?;
        write("dependence", pictures::dependence(&sample, 0, Some(2), &style))?;
        write("dependence-missing", pictures::dependence(&sample, 2, None, &style))?;
        write("dependence-text", pictures::dependence(&sample, 4, Some(0), &style))?;
        write("effect", pictures::effect(&samples::ratio_effect(), &style))?;
        write("effect-text", pictures::effect(&samples::employment_effect(), &style))?;
        write("heat-map", pictures::heat_map(&samples::digit(), &style))?;
        write("text-map", pictures::text_map(&samples::review(), &style))?;
        write("counterfactuals", pictures::counterfactuals(&samples::ways(), &style))?;
        write("local-effects", pictures::local_effects(&samples::age_effects(), &style))?;
    }
    let style = Style::default();
    let write = |name: &str, text: String| fs::write(folder.join(format!("report-{name}.html")), text);
    write("credit", report::decision_report(&reports::credit(), &style))?;
    write("house", report::decision_report(&reports::house(), &style))?;
    write("hostile", report::decision_report(&reports::hostile(), &style))?;
    write("model", report::model_report(&reports::model(), &style))?;
    Ok(())
}
