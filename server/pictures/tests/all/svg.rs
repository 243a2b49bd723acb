//! Every picture: well-formed, named, within its frame, safe; bars as long as their numbers.

use std::collections::BTreeSet;

use candor_pictures::{Style, Theme, pictures};
use roxmltree::Node;

use crate::{
    reader::{all, arrows, every, frame, number, reach, read, said, style},
    samples,
};

#[test]
fn every_picture_names_itself_for_who_does_not_see_it() {
    for (name, svg) in every(&style(720)) {
        let document = read(&svg);
        let root = document.root_element();
        assert_eq!(root.attribute("role"), Some("img"), "{name}");
        let ids: Vec<&str> = root.attribute("aria-labelledby").unwrap().split(' ').collect();
        for (id, tag) in ids.iter().zip(["title", "desc"]) {
            let node = root.children().find(|node| node.attribute("id") == Some(id)).unwrap();
            assert_eq!(node.tag_name().name(), tag);
            assert!(said(&node).trim().len() > 5, "{name}: {tag}");
        }
    }
}

#[test]
fn no_text_leaves_the_frame_at_any_width() {
    for width in [320, 340, 480, 559, 560, 640, 720, 1200] {
        for (name, svg) in every(&style(width)) {
            let document = read(&svg);
            let (wide, high) = frame(&document);
            for text in all(&document, "text") {
                let (left, right) = reach(&text);
                let y = number(&text, "y");
                let at = format!("{name} at {width}: {left:.0} to {right:.0}, {y:.0}: {}", said(&text));
                assert!(left >= -1.0 && right <= wide + 1.0, "{at}");
                assert!(y >= 11.0 && y <= high - 4.0, "{at}");
            }
        }
    }
}

#[test]
fn no_text_is_small() {
    for (name, svg) in every(&style(340)) {
        let document = read(&svg);
        let sizes = document.descendants().filter_map(|node| node.attribute("font-size"));
        assert!(sizes.map(|size| size.parse::<f64>().unwrap()).all(|size| size >= 13.0), "{name}");
        assert!(!svg.contains("font-size:1") || svg.contains("font-size:13px"), "{name}");
    }
}

#[test]
fn steps_are_as_long_as_shares_and_meet() {
    for width in [340, 720] {
        let decision = samples::credit();
        let svg = pictures::waterfall(&decision, &style(width));
        let document = read(&svg);
        let drawn = arrows(&document);
        let mut shares: Vec<f64> = decision.shares.iter().map(|share| share.share).collect();
        shares.sort_by(|one, other| other.abs().total_cmp(&one.abs()));
        let rest: f64 = shares.split_off(12).iter().sum();
        shares.push(rest);
        assert_eq!(drawn.len(), shares.len());
        let scale = (drawn[0].1 - drawn[0].0) / shares[0];
        for ((from, to), share) in drawn.iter().zip(&shares) {
            assert!((to - from - share * scale).abs() < 0.02, "{from} {to} {share}");
        }
        for pair in drawn.windows(2) {
            assert!((pair[0].1 - pair[1].0).abs() < 0.011, "{pair:?}");
        }
    }
}

#[test]
fn bars_are_as_long_as_shares_and_begin_at_one_place() {
    let decision = samples::house();
    let drawn = arrows(&read(&pictures::bar(&decision, &style(720))));
    let scale = (drawn[0].1 - drawn[0].0) / 64_200.0;
    for ((from, to), share) in drawn.iter().zip([64_200.0, -38_900.0, -12_400.0, 8300.0, 4100.0]) {
        assert!((to - from - share * scale).abs() < 0.02 && (from - drawn[0].0).abs() < 0.011, "{from} {to} {share}");
    }
}

#[test]
fn weights_are_as_long_as_they_are_large() {
    let weights = samples::shuffled();
    let svg = pictures::importance(&weights, &style(720));
    let document = read(&svg);
    let bars: Vec<f64> = all(&document, "rect")
        .iter()
        .filter(|rect| rect.attribute("class") == Some("line-ink"))
        .map(|rect| number(rect, "width"))
        .collect();
    assert_eq!(bars.len(), weights.features.len());
    for (bar, feature) in bars.iter().zip(&weights.features) {
        assert!((bar - feature.weight.abs() * bars[0] / 0.091).abs() < 0.02, "{bar} {}", feature.name);
    }
}

/// What a place is worth by the numbers on its axis: those across the bottom (`along` is `x`), or those at the left.
fn by_axis(document: &roxmltree::Document<'_>, along: &str, at: f64) -> f64 {
    let anchor = if along == "x" { "middle" } else { "end" };
    let numbers: Vec<(f64, f64)> = all(document, "text")
        .iter()
        .filter(|text| text.attribute("class") == Some("soft") && text.attribute("text-anchor") == Some(anchor))
        // Letters stand 4.5 pixels below the middle of their line.
        .filter_map(|text| Some((number(text, along) - if along == "y" { 4.5 } else { 0.0 }, told(&said(text))?)))
        .collect();
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    assert!(numbers.len() >= 3 && first.0 != last.0, "{numbers:?}");
    for (place, value) in &numbers {
        let straight = first.1 + (place - first.0) / (last.0 - first.0) * (last.1 - first.1);
        assert!((straight - value).abs() <= (last.1 - first.1).abs() * 1e-3, "{numbers:?}");
    }
    first.1 + (at - first.0) / (last.0 - first.0) * (last.1 - first.1)
}

#[test]
fn bars_end_where_the_axis_says() {
    let svg = pictures::bar(&samples::house(), &style(720));
    let document = read(&svg);
    for ((from, to), share) in arrows(&document).iter().zip([64_200.0, -38_900.0, -12_400.0, 8300.0, 4100.0]) {
        let ends = (by_axis(&document, "x", *from), by_axis(&document, "x", *to));
        assert!(ends.0.abs() < 50.0 && (ends.1 - share).abs() < 50.0, "{ends:?} {share}");
    }
    let decision = samples::credit();
    let svg = pictures::waterfall(&decision, &style(720));
    let document = read(&svg);
    let drawn = arrows(&document);
    let start = by_axis(&document, "x", drawn[0].0);
    let end = by_axis(&document, "x", drawn[drawn.len() - 1].1);
    assert!((start - 57.4).abs() < 0.05 && (end - decision.output * 100.0).abs() < 0.05, "{start} {end}");
    let svg = pictures::importance(&samples::shuffled(), &style(720));
    let document = read(&svg);
    let bars = all(&document, "rect").into_iter().filter(|rect| rect.attribute("class") == Some("line-ink"));
    let bar = bars.max_by(|one, other| number(one, "width").total_cmp(&number(other, "width"))).unwrap();
    let end = by_axis(&document, "x", number(&bar, "x") + number(&bar, "width"));
    assert!((end - 0.091).abs() < 1e-4, "{end}");
}

#[test]
fn lines_and_points_lie_where_the_axes_say() {
    let effect = samples::ratio_effect();
    let svg = pictures::effect(&effect, &style(720));
    let document = read(&svg);
    let paths = all(&document, "path");
    let line = paths.iter().find(|path| path.attribute("class") == Some("line")).unwrap().attribute("d").unwrap();
    let points: Vec<&str> = line.trim_start_matches('M').split('L').collect();
    assert_eq!(points.len(), effect.mean.len());
    for ((point, value), mean) in points.iter().zip(&effect.grid).zip(&effect.mean) {
        let (x, y) = point.split_once(' ').unwrap();
        let (x, y) = (by_axis(&document, "x", x.parse().unwrap()), by_axis(&document, "y", y.parse().unwrap()));
        let candor_pictures::data::Cell::Number(value) = value else { panic!("{value:?}") };
        assert!((x - value).abs() < 1e-3 && (y - mean * 100.0).abs() < 0.05, "{x} {y}: {value} {mean}");
    }
    let mut sample = samples::credits(1);
    sample.columns[3].values = vec![candor_pictures::data::Cell::Number(7.5), candor_pictures::data::Cell::Number(2.0)];
    sample.columns[3].shares = vec![0.031, -0.02];
    for column in [0, 1] {
        sample.columns[3].values.extend((0..30).map(|at| candor_pictures::data::Cell::Number(f64::from(at) * 0.61)));
        sample.columns[3].shares.extend((0..30).map(|at| f64::from(at + column) * 1e-4));
    }
    let svg = pictures::dependence(&sample, 3, None, &style(720));
    let document = read(&svg);
    let paths = all(&document, "path");
    let dots: String = paths.iter().filter_map(|path| path.attribute("d")).filter(|d| d.ends_with("h0")).collect();
    let places: Vec<(f64, f64)> = dots
        .split('M')
        .filter_map(|dot| dot.trim_end_matches("h0").split_once(' '))
        .map(|(x, y)| (by_axis(&document, "x", x.parse().unwrap()), by_axis(&document, "y", y.parse().unwrap())))
        .collect();
    assert_eq!(places.len(), 62);
    for (x, y) in [(7.5, 3.1), (2.0, -2.0)] {
        assert!(
            places.iter().any(|place| (place.0 - x).abs() < 0.02 && (place.1 - y).abs() < 0.02),
            "{x} {y}: {places:?}"
        );
    }
}

/// "−1,200.5 %" as a number.
fn told(text: &str) -> Option<f64> {
    let text: String = text.chars().filter(|char| !matches!(char, ',' | '%' | ' ' | '+')).collect();
    text.replace('−', "-").parse().ok()
}

#[test]
fn the_numbers_that_are_shown_add_up_to_rounding() {
    for (decision, half) in [(samples::credit(), 0.05), (samples::house(), 50.0)] {
        let svg = pictures::waterfall(&decision, &style(720));
        let document = read(&svg);
        let bold: Vec<f64> = all(&document, "text")
            .iter()
            .filter(|text| text.attribute("class").is_some_and(|class| class.contains("bold")))
            .filter_map(|text| told(&said(text)))
            .collect();
        // The start, this answer, and then the steps.
        let sum = bold[0] + bold[2..].iter().sum::<f64>();
        let digits = bold.len() as f64 * half;
        assert!((sum - bold[1]).abs() <= digits, "{bold:?}: {sum}");
        assert_eq!(bold.len() - 2, arrows(&document).len());
    }
}

#[test]
fn a_gap_is_a_step_of_its_own() {
    let mut decision = samples::house();
    decision.output += 5000.0;
    let svg = pictures::waterfall(&decision, &style(720));
    assert!(svg.contains("not explained") && svg.contains("+5,000"), "{svg}");
}

#[test]
fn no_name_becomes_markup() {
    let known: BTreeSet<&str> =
        ["svg", "title", "desc", "style", "rect", "line", "path", "text", "tspan", "image"].into_iter().collect();
    for (name, svg) in every(&style(720)) {
        let document = read(&svg);
        for node in document.descendants().filter(Node::is_element) {
            assert!(known.contains(node.tag_name().name()), "{name}: {}", node.tag_name().name());
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on"), "{name}: {}", attribute.name());
                if attribute.name() == "href" {
                    assert!(attribute.value().starts_with("data:image/png;base64,"), "{name}");
                }
            }
        }
        assert!(!svg.contains("<script") && !svg.contains("@import") && !svg.contains("url("), "{name}");
        assert_eq!(svg.matches("http").count(), 1, "{name}: only the namespace");
        assert!(!svg.chars().any(|char| char != '\n' && char.is_control()), "{name}");
        assert!(!svg.contains(['\u{202e}', '\u{202a}', '\u{2066}', '\u{200f}', '\u{200b}', '\u{feff}']), "{name}");
        assert_eq!(
            svg.matches('\u{2068}').count(),
            svg.matches('\u{2069}').count(),
            "{name}: what is opened is closed"
        );
    }
}

#[test]
fn hostile_names_are_still_told() {
    let svg = pictures::waterfall(&samples::hostile(), &Style { features_max: 100, width: 1200, ..Style::default() });
    let document = read(&svg);
    let texts: String = all(&document, "text").iter().map(said).collect::<Vec<_>>().join("\n");
    assert!(texts.contains("<script>alert(1)</script> = "), "{texts}");
    assert!(texts.contains("a & b < c > d 'e' \"f\""), "{texts}");
    assert!(texts.contains("313 others"), "{texts}");
}

#[test]
fn the_same_values_give_the_same_bytes() {
    assert_eq!(every(&style(720)), every(&style(720)));
}

#[test]
fn themes_and_embedding_change_the_style_sheet_alone() {
    let decision = samples::credit();
    let draw = |theme, standalone| pictures::waterfall(&decision, &Style { theme, standalone, ..Style::default() });
    let bare = draw(Theme::Auto, false);
    assert!(!bare.contains("<style"));
    for theme in [Theme::Auto, Theme::Light, Theme::Dark] {
        let whole = draw(theme, true);
        let (from, to) = (whole.find("<style>").unwrap(), whole.find("</style>").unwrap() + "</style>".len());
        assert_eq!(format!("{}{}", &whole[..from], &whole[to..]), bare);
        assert_eq!(whole.contains("prefers-color-scheme"), theme == Theme::Auto);
    }
}

#[test]
fn one_page_can_hold_many_pictures() {
    let one = pictures::waterfall(&samples::credit(), &Style { id: "one".into(), ..Style::default() });
    let other = pictures::waterfall(&samples::credit(), &Style { id: "other".into(), ..Style::default() });
    let ids = |svg: &str| -> BTreeSet<String> {
        read(svg).descendants().filter_map(|node| node.attribute("id").map(str::to_owned)).collect()
    };
    assert!(ids(&one).is_disjoint(&ids(&other)));
}
