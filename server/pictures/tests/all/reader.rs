//! Finds things in pictures and pages: a parser of XML, and an estimate of how wide text is.
//!
//! The estimate is not the library's own: if both are wrong, they are wrong differently.

use candor_pictures::{Style, data::Decision, pictures};
use roxmltree::{Document, Node, ParsingOptions};

use crate::samples;

/// Parses what was drawn; a page has a document type.
pub fn read(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A number among an element's attributes.
pub fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).map_or(0.0, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Everything that an element says.
pub fn said(node: &Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

/// All elements of a name.
pub fn all<'a, 'input>(document: &'a Document<'input>, name: &'a str) -> Vec<Node<'a, 'input>> {
    document.descendants().filter(|node| node.has_tag_name(name) || node.tag_name().name() == name).collect()
}

/// About how wide a text is, rather too much than too little.
pub fn width(text: &str, size: f64, is_bold: bool) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|char| match char {
            'w' => 0.82,
            'W' | 'm' | 'M' | '@' | '%' | '…' => 1.0,
            'i' | 'l' | 'j' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '/' | ' ' => 0.32,
            '(' | ')' | '-' | '!' => 0.4,
            '_' | '"' => 0.5,
            'f' | 't' | 'r' => 0.42,
            's' | 'c' | 'k' | 'z' => 0.57,
            'a'..='z' | '0'..='9' | '€' => 0.63,
            'A'..='Z' => 0.75,
            '\u{2066}'..='\u{2069}' => 0.0,
            char if char.is_ascii() => 0.7,
            _ => 0.95,
        })
        .sum();
    ems * size * if is_bold { 1.12 } else { 1.0 }
}

/// From where to where a `<text>` reaches.
pub fn reach(node: &Node<'_, '_>) -> (f64, f64) {
    let size = node.attribute("font-size").map_or(13.0, |size| size.parse().unwrap());
    let wide = width(&said(node), size, node.attribute("font-weight") == Some("bold"));
    let x = number(node, "x");
    match node.attribute("text-anchor") {
        Some("end") => (x - wide, x),
        Some("middle") => (x - wide / 2.0, x + wide / 2.0),
        _ => (x, x + wide),
    }
}

/// Width and height of a picture.
pub fn frame(document: &Document<'_>) -> (f64, f64) {
    let svg = document.root_element();
    let view: Vec<f64> = svg.attribute("viewBox").unwrap().split(' ').map(|part| part.parse().unwrap()).collect();
    assert_eq!((view[0], view[1], view[2]), (0.0, 0.0, number(&svg, "width")));
    assert_eq!(view[3].to_bits(), number(&svg, "height").to_bits());
    (view[2], view[3])
}

/// From where to where the bars of a decision go, in the order in which they are drawn; those of the legend left out.
pub fn arrows(document: &Document<'_>) -> Vec<(f64, f64)> {
    let paths = all(document, "path");
    let bars = paths.iter().filter(|path| matches!(path.attribute("class"), Some("up" | "down" | "neutral")));
    let ends = bars.map(|path| {
        let d = path.attribute("d").unwrap();
        let points: Vec<&str> = d.trim_start_matches('M').trim_end_matches('Z').split('L').collect();
        let x = |point: &str| point.split(' ').next().unwrap().parse::<f64>().unwrap();
        let y = |point: &str| point.split(' ').nth(1).unwrap().parse::<f64>().unwrap();
        (x(points[0]), x(points[2]), y(points[3]) - y(points[0]))
    });
    // Bars are higher than the signs of a legend.
    ends.filter(|(_, _, high)| *high > 12.0).map(|(from, to, _)| (from, to)).collect()
}

/// A style of its own for each width.
pub fn style(width: u32) -> Style {
    Style { width, ..Style::default() }
}

/// A picture of every kind, of good and of bad input, with its name.
pub fn every(style: &Style) -> Vec<(String, String)> {
    let mut drawn = Vec::new();
    let decisions: [(&str, Decision); 3] =
        [("credit", samples::credit()), ("house", samples::house()), ("hostile", samples::hostile())];
    for (name, decision) in decisions {
        drawn.push((format!("waterfall {name}"), pictures::waterfall(&decision, style)));
        drawn.push((format!("bar {name}"), pictures::bar(&decision, style)));
        drawn.push((format!("force {name}"), pictures::force(&decision, style)));
    }
    let mut sample = samples::credits(300);
    let mut add = |name: &str, svg: String| drawn.push((name.to_owned(), svg));
    add("beeswarm", pictures::beeswarm(&sample, style));
    add("dependence", pictures::dependence(&sample, 0, Some(2), style));
    add("dependence missing", pictures::dependence(&sample, 2, None, style));
    add("dependence few", pictures::dependence(&sample, 1, None, style));
    add("dependence text", pictures::dependence(&sample, 4, Some(0), style));
    for (column, name) in sample.columns.iter_mut().zip(samples::HOSTILE) {
        column.name = name.repeat(9);
    }
    add("beeswarm hostile", pictures::beeswarm(&sample, style));
    add("dependence hostile", pictures::dependence(&sample, 0, Some(5), style));
    add("importance", pictures::importance(&samples::weights(), style));
    add("importance errors", pictures::importance(&samples::shuffled(), style));
    add("effect", pictures::effect(&samples::ratio_effect(), style));
    add("effect text", pictures::effect(&samples::employment_effect(), style));
    add("local effects", pictures::local_effects(&samples::age_effects(), style));
    add("heat map", pictures::heat_map(&samples::digit(), style));
    add("text map", pictures::text_map(&samples::review(), style));
    add("text map hostile", pictures::text_map(&crate::gallery_reports::hostile().text_map.unwrap(), style));
    add("counterfactuals", pictures::counterfactuals(&samples::ways(), style));
    let hostile = crate::gallery_reports::hostile();
    add("counterfactuals hostile", pictures::counterfactuals(&hostile.counterfactuals.unwrap(), style));
    drawn
}
