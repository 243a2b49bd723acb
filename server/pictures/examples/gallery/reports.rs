//! Reports to look at, of the values in `samples`.
//!
//! Used by the gallery and by the tests.

use candor_pictures::report::data::{
    Answer, Background, Certainty, Class, Contest, DecisionReport, Fact, ModelReport, Provenance, Sampling,
};

use crate::samples;

fn fact(name: &str, value: &str) -> Fact {
    Fact { name: name.into(), value: value.into() }
}

fn background() -> Background {
    Background {
        id: Some("credit/training".into()),
        digest: Some("sha256:5f1d1c5f6f2c8f0f2b1f0d8e3a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b".into()),
        rows: Some(500),
        description: Some("drawn from the training data".into()),
    }
}

fn provenance() -> Provenance {
    Provenance {
        model: "credit".into(),
        version: Some("3".into()),
        model_digest: Some("sha256:9c1185a5c5e9fc54612808977ee8f548b2258d31a1e2d1b5c5d3f2b8f0b4c2ad".into()),
        engine: Some("ONNX Runtime 1.24".into()),
        method: Some("tree_shap, interventional".into()),
        space: Some("probability".into()),
        seed: Some(0),
        evaluations: Some(8000),
        request: Some("01932f6a-5e6f-7cc1-9df6-3d2b5f1c0a11".into()),
        ..Provenance::default()
    }
}

/// A refused application.
pub fn credit() -> DecisionReport {
    let class = |name: &str, probability| Class { name: name.into(), probability };
    DecisionReport {
        about: "Application 4711".into(),
        decided_at: Some("21 November 2026, 14:03 UTC".into()),
        answer: Answer {
            label: Some("refused".into()),
            probability: Some(0.714),
            classes: vec![class("granted", 0.286), class("refused", 0.714)],
            threshold: Some(0.5),
        },
        decision: samples::credit(),
        heat_map: None,
        text_map: None,
        counterfactuals: Some(samples::ways()),
        certainty: Certainty { sampling: Sampling::Exact, ..Certainty::default() },
        contest: Contest {
            text: vec![
                "You have the right to have this decision looked at by a person, to say what you think of it, and to contest \
                 it. Write to us, name the application, and tell us what is wrong or missing. We answer within one month."
                    .into(),
            ],
            contacts: vec![
                fact("E-mail", "review@bank.example"),
                fact("Post", "Example Bank, Review of decisions, 1 Long Street, 12345 Town"),
                fact("Until", "21 December 2026"),
            ],
        },
        background: background(),
        provenance: provenance(),
        limits: vec!["That the bank would have decided alike. A clerk may see more than the model does.".into()],
    }
}

/// An estimated price with little said about it.
pub fn house() -> DecisionReport {
    let mut decision = samples::house();
    decision.output += 900.0;
    DecisionReport {
        about: "12 Elm Road".into(),
        decision,
        certainty: Certainty { is_flagged: true, sampling: Sampling::Sampled, notes: Vec::new() },
        provenance: Provenance { model: "prices".into(), ..Provenance::default() },
        ..DecisionReport::default()
    }
}

/// The worst that somebody may send.
pub fn hostile() -> DecisionReport {
    let bad = samples::HOSTILE.join(" ").repeat(3);
    let mut report = credit();
    report.about = bad.clone();
    report.decided_at = Some(bad.clone());
    report.answer.label = Some(bad.clone());
    report.answer.classes =
        (0..50).map(|at| Class { name: samples::HOSTILE[at % 12].into(), probability: 0.02 }).collect();
    report.decision = samples::hostile();
    report.heat_map = Some(samples::digit());
    let mut review = samples::review();
    for (token, name) in review.tokens.iter_mut().zip(samples::HOSTILE) {
        token.text = name.into();
    }
    report.text_map = Some(review);
    report.counterfactuals = report.counterfactuals.map(|mut all| {
        all.now.clone_from(&bad);
        for (at, one) in all.found.iter_mut().enumerate() {
            one.then = samples::HOSTILE[at].into();
            for (place, change) in one.changes.iter_mut().enumerate() {
                change.name = samples::HOSTILE[(at + place) % 12].into();
                change.from.clone_from(&bad);
                change.to = samples::HOSTILE[(at + 2 * place + 5) % 12].into();
            }
        }
        all
    });
    report.certainty.notes = vec![bad.clone()];
    report.contest.text = vec![bad.clone(), "x".repeat(9000)];
    report.contest.contacts = vec![fact(&bad, &"y".repeat(900))];
    report.limits = vec![bad.clone()];
    report.provenance = Provenance {
        model: bad.clone(),
        version: Some(bad.clone()),
        model_digest: Some("f".repeat(300)),
        engine: Some(bad.clone()),
        method: Some(bad.clone()),
        more: vec![fact(&bad, &bad)],
        ..Provenance::default()
    };
    report
}

/// The model that refused.
pub fn model() -> ModelReport {
    ModelReport {
        made_at: Some("21 November 2026".into()),
        purpose: Some("Estimates whether an application for consumer credit up to 25,000 € is granted.".into()),
        sample: samples::credits(600),
        importance: vec![samples::shuffled()],
        effects: vec![samples::ratio_effect(), samples::employment_effect()],
        local_effects: vec![samples::age_effects()],
        background: background(),
        provenance: provenance(),
        limits: vec!["That the model behaves so for applications above 25,000 €: it has seen none.".into()],
        ..ModelReport::default()
    }
}
