//! The small pictures of docs/PICTURES.md: few features, few rows, few bytes.
//!
//! Used by the gallery, which writes them, and by the test that holds the committed ones against them.

use candor_pictures::{
    Style,
    data::{Cell, Decision, Effect, HeatMap, Image, Sample},
    pictures,
};

use crate::samples;

/// File name and content of each.
pub fn all() -> Vec<(&'static str, String)> {
    let style = |id: &str| Style { width: 640, features_max: 5, points_max: 60, id: id.into(), ..Style::default() };
    let decision = decision();
    let sample = sample();
    let draw = |name: &'static str, draw: &dyn Fn(&Style) -> String| (name, draw(&style(name)));
    vec![
        draw("waterfall", &|style| pictures::waterfall(&decision, style)),
        draw("force", &|style| pictures::force(&decision, style)),
        draw("bar", &|style| pictures::bar(&samples::house(), style)),
        draw("importance", &|style| pictures::importance(&samples::shuffled(), style)),
        draw("beeswarm", &|style| pictures::beeswarm(&sample, style)),
        draw("dependence", &|style| pictures::dependence(&sample, 0, Some(2), style)),
        draw("effect", &|style| pictures::effect(&effect(), style)),
        draw("local-effects", &|style| pictures::local_effects(&samples::age_effects(), style)),
        draw("heat-map", &|style| pictures::heat_map(&digit(), style)),
        draw("text-map", &|style| pictures::text_map(&samples::review(), style)),
        draw("counterfactuals", &|style| pictures::counterfactuals(&samples::ways(), style)),
    ]
}

fn decision() -> Decision {
    let mut decision = samples::credit();
    decision.shares.truncate(8);
    decision.output = decision.base + decision.shares.iter().map(|share| share.share).sum::<f64>();
    decision
}

fn sample() -> Sample {
    let mut sample = samples::credits(60);
    sample.columns.truncate(5);
    sample
}

fn effect() -> Effect {
    let mut effect = samples::ratio_effect();
    let keep = |values: &[f64]| values.iter().step_by(2).copied().collect::<Vec<f64>>();
    effect.rows = effect.rows.iter().take(12).map(|row| keep(row)).collect();
    effect.mean = keep(&effect.mean);
    effect.grid = effect.grid.iter().step_by(2).cloned().collect::<Vec<Cell>>();
    effect
}

/// Every second pixel in each direction.
fn digit() -> HeatMap {
    let mut map = samples::digit();
    if let Image::Rgb { width: 112, height: 112, bytes } = &map.image {
        let small = (0..56 * 56).flat_map(|at| {
            let from = ((at / 56) * 2 * 112 + (at % 56) * 2) * 3;
            bytes[from..from + 3].to_vec()
        });
        map.image = Image::Rgb { width: 56, height: 56, bytes: small.collect() };
    }
    map
}
