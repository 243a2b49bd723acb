//! The values that are drawn can be read from JSON, and what may be left out can be left out.

use candor_pictures::{
    Style,
    data::{Cell, Column, Decision, Space},
    report::data::{DecisionReport, ModelReport},
};

use crate::{gallery_reports, samples};

#[test]
fn a_few_fields_are_enough() {
    let text = r#"{"quantity": {"name": "price"}, "base": 1, "output": 3, "shares": [{"name": "rooms", "share": 2}]}"#;
    let decision: Decision = serde_json::from_str(text).unwrap();
    assert_eq!((decision.quantity.space, decision.shares[0].value.clone()), (Space::Raw, None));
    let column: Column =
        serde_json::from_str(r#"{"name": "a", "values": [1, "x", null], "shares": [0, 1, 2]}"#).unwrap();
    assert_eq!(column.values, [Cell::Number(1.0), Cell::Text("x".into()), Cell::MISSING]);
    let report: DecisionReport = serde_json::from_str(r#"{"about": "x", "answer": {"label": "no"}}"#).unwrap();
    assert_eq!(report.answer.label.as_deref(), Some("no"));
    assert_eq!(serde_json::from_str::<Style>(r#"{"width": 400, "theme": "dark"}"#).unwrap().features_max, 12);
}

#[test]
fn everything_survives_json() {
    let report = gallery_reports::credit();
    let back: DecisionReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
    let report = gallery_reports::model();
    let back: ModelReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
    let map = samples::digit();
    assert_eq!(
        serde_json::from_str::<candor_pictures::data::HeatMap>(&serde_json::to_string(&map).unwrap()).unwrap(),
        map
    );
}
