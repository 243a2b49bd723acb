//! Both reports: whole pages, safe, in order, with a table for each picture, and true words.

use std::collections::BTreeSet;

use candor_pictures::{
    Style,
    data::Counterfactuals,
    report::{self, data::Certainty, data::Contest},
};
use roxmltree::{Document, Node};

use crate::{
    gallery_reports,
    reader::{all, read, said},
};

fn pages() -> Vec<(&'static str, String)> {
    let style = Style::default();
    vec![
        ("credit", report::decision_report(&gallery_reports::credit(), &style)),
        ("house", report::decision_report(&gallery_reports::house(), &style)),
        ("hostile", report::decision_report(&gallery_reports::hostile(), &style)),
        ("model", report::model_report(&gallery_reports::model(), &style)),
    ]
}

/// Text of the page as it is read, on one line.
fn words(document: &Document<'_>) -> String {
    let body = all(document, "main")[0];
    let not_drawn = |node: &Node<'_, '_>| !node.ancestors().any(|above| above.tag_name().name() == "svg");
    let texts = body.descendants().filter(Node::is_text).filter(not_drawn).filter_map(|node| node.text());
    texts.collect::<Vec<_>>().join("")
}

#[test]
fn pages_need_nothing_but_themselves() {
    for (name, page) in pages() {
        assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{name}");
        let document = read(&page);
        for node in document.descendants().filter(Node::is_element) {
            let tag = node.tag_name().name();
            assert!(
                !matches!(tag, "script" | "link" | "iframe" | "object" | "embed" | "form" | "base"),
                "{name}: {tag}"
            );
            for attribute in node.attributes() {
                let (key, value) = (attribute.name(), attribute.value());
                assert!(!key.starts_with("on"), "{name}: {key}");
                if matches!(key, "href" | "src") {
                    assert!(value.starts_with('#') || value.starts_with("data:image/png"), "{name}: {value}");
                }
            }
        }
        assert!(!page.contains("<script") && !page.contains("url(") && !page.contains("@import"), "{name}");
        let policy = all(&document, "meta").into_iter().find(|meta| meta.attribute("http-equiv").is_some()).unwrap();
        assert!(policy.attribute("content").unwrap().starts_with("default-src 'none'"));
        assert!(!page.contains(['\u{202e}', '\u{0}', '\u{7}', '\u{1b}']), "{name}");
    }
}

#[test]
fn pages_are_in_order_for_who_hears_them() {
    for (name, page) in pages() {
        let document = read(&page);
        assert_eq!(all(&document, "h1").len(), 1, "{name}");
        assert_eq!(all(&document, "main").len(), 1, "{name}");
        assert!(said(&all(&document, "title")[0]).len() > 10, "{name}");
        let mut level = 1;
        for heading in document.descendants().filter(|node| matches!(node.tag_name().name(), "h1" | "h2" | "h3")) {
            let own: u32 = heading.tag_name().name()[1..].parse().unwrap();
            assert!(own <= level + 1 && !said(&heading).trim().is_empty(), "{name}: {}", said(&heading));
            level = own;
        }
        let ids: Vec<&str> = document.descendants().filter_map(|node| node.attribute("id")).collect();
        let different: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), different.len(), "{name}");
        for node in document.descendants() {
            let named = node.attribute("aria-labelledby").into_iter().flat_map(|ids| ids.split(' '));
            let linked = node.attribute("href").and_then(|to| to.strip_prefix('#'));
            for id in named.chain(linked) {
                assert!(different.contains(id), "{name}: {id}");
            }
        }
    }
}

#[test]
fn every_picture_has_its_table() {
    for (name, page) in pages() {
        let document = read(&page);
        let figures = all(&document, "figure");
        assert!(!figures.is_empty(), "{name}");
        for figure in figures {
            let within = |tag: &str| figure.descendants().filter(|node| node.tag_name().name() == tag).count();
            assert_eq!((within("svg"), within("table"), within("caption")), (2, 1, 1), "{name}");
            let rows = figure.descendants().filter(|node| node.tag_name().name() == "tr");
            let widths: BTreeSet<usize> = rows.map(|row| row.children().filter(Node::is_element).count()).collect();
            assert_eq!(widths.len(), 1, "{name}: rows of one table are equally long");
            let heads = figure.descendants().filter(|node| node.tag_name().name() == "th");
            assert!(heads.clone().all(|head| head.attribute("scope").is_some()) && heads.count() > 3, "{name}");
        }
    }
}

#[test]
fn a_decision_is_told_in_plain_words() {
    let page = report::decision_report(&gallery_reports::credit(), &Style::default());
    let words = words(&read(&page));
    for sentence in [
        "The model said\nrefused\nprobability of granted: 28.6 %, compared with 57.4 % on average.",
        "For this case it is 28.6 %: lower by 28.8 percentage points.",
        "debt ratio (0.61) lowered it by 18.4 percentage points",
        "age of oldest account (11 years) raised it by 9.4 percentage points",
        "If debt ratio had been 0.34 instead of 0.61, the model would have said granted.",
        "The model gives “refused” a probability of 71.4 %.",
        "The decision changes at 50.0 %. This case is 21.4 percentage points away from that.",
        "The shares were calculated, not estimated",
        "You have the right to have this decision looked at by a person",
        "review@bank.example",
        "sha256:9c1185a5c5e9fc54612808977ee8f548b2258d31a1e2d1b5c5d3f2b8f0b4c2ad",
        "That a feature caused anything in the world.",
        "A clerk may see more than the model does.",
    ] {
        assert!(words.contains(sentence), "{sentence}\n{words}");
    }
    // What made it low is told before what spoke against that.
    assert!(words.find("What lowered").unwrap() < words.find("What raised").unwrap());
}

#[test]
fn a_base_that_is_no_average_is_not_called_one() {
    let mut report = gallery_reports::credit();
    report.decision.base_is = Some("what the trees say when nothing is known".into());
    let page = report::decision_report(&report, &Style::default());
    let document = read(&page);
    let words = words(&document);
    for sentence in [
        "compared with 57.4 % with nothing known about the case.",
        "With nothing known about a case, the probability of granted is 57.4 %: what the trees say when nothing is known.",
        "The start and the shares add up to the answer",
    ] {
        assert!(words.contains(sentence), "{sentence}\n{words}");
    }
    let svg = all(&document, "svg").iter().map(said).collect::<String>();
    assert!(svg.contains("From the start to this answer") && !svg.to_lowercase().contains("average"), "{svg}");
}

#[test]
fn what_was_left_out_is_said() {
    let page = report::decision_report(&gallery_reports::house(), &Style::default());
    let words = words(&read(&page));
    for sentence in [
        "do not add up to the answer: 900 € are not explained",
        "For this report nobody looked for values",
        "has not stated here to whom you can turn",
        "rows that this report does not describe",
        "It is not certain whether these raised or lowered it: rooms.",
        "not stated",
    ] {
        assert!(words.contains(sentence), "{sentence}\n{words}");
    }
}

#[test]
fn no_way_found_and_no_way_sought_are_different() {
    let mut report = gallery_reports::credit();
    report.counterfactuals = Some(Counterfactuals::default());
    report.contest = Contest::default();
    report.certainty = Certainty::default();
    let page = report::decision_report(&report, &Style::default());
    let words = words(&read(&page));
    assert!(words.contains("That does not prove that there is none."), "{words}");
    assert!(words.contains("Whether the shares were calculated or estimated was not stated."), "{words}");
}

#[test]
fn a_model_is_told_in_plain_words() {
    let page = report::model_report(&gallery_reports::model(), &Style::default());
    let words = words(&read(&page));
    for sentence in [
        "600 rows were explained, with 14 features.",
        "% of all that is moved; larger values lower it.",
        "The 9 others together:",
        "500 rows (drawn from the training data)",
        "That the model behaves so for applications above 25,000 €: it has seen none.",
        "with which it seems to interact most",
    ] {
        assert!(words.contains(sentence), "{sentence}\n{words}");
    }
}

#[test]
fn the_same_values_give_the_same_page() {
    assert_eq!(pages(), pages());
}
