//! Values that nobody expects: none, not-a-numbers, infinities, thousands of features, lists of different lengths.

use candor_pictures::{
    Style,
    data::{
        Cell, Column, Counterfactual, Counterfactuals, Decision, Effect, HeatMap, Image, Importance, LocalEffects,
        Quantity, Sample, Share, Space, TextMap, Token, Weight,
    },
    pictures,
    report::{self, data::DecisionReport, data::ModelReport},
    tables,
};

use crate::reader::{all, frame, number, read, style};

const ODD: [f64; 9] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.0, -0.0, 1e-300];

fn quantities() -> [Quantity; 3] {
    [Space::Raw, Space::Margin, Space::Probability].map(|space| Quantity {
        name: "y".into(),
        unit: Some("€".into()),
        space,
    })
}

/// It can be read, and nothing in it lies nowhere.
fn holds(svg: &str) {
    assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
    let document = read(svg);
    let (wide, high) = frame(&document);
    for text in all(&document, "text") {
        let (x, y) = (number(&text, "x"), number(&text, "y"));
        assert!((0.0..=wide).contains(&x) && (0.0..=high).contains(&y), "{x}, {y}: {svg}");
    }
}

fn decision(quantity: Quantity, base: f64, output: f64, shares: &[f64]) -> Decision {
    let shares =
        shares.iter().map(|share| Share { name: "f".into(), value: None, share: *share, standard_error: Some(*share) });
    Decision { quantity, base, output, shares: shares.collect(), ..Decision::default() }
}

#[test]
fn decisions_of_odd_numbers_are_drawn() {
    for quantity in quantities() {
        for base in ODD {
            for output in [1.0, f64::NAN, f64::MAX] {
                for shares in [&ODD[..], &[], &[f64::MAX, f64::MAX, f64::MIN], &[1e-300, 5e-324]] {
                    let decision = decision(quantity.clone(), base, output, shares);
                    for width in [340, 720] {
                        holds(&pictures::waterfall(&decision, &style(width)));
                        holds(&pictures::bar(&decision, &style(width)));
                        holds(&pictures::force(&decision, &style(width)));
                    }
                    tables::decision(&decision);
                    let report = DecisionReport { decision, ..DecisionReport::default() };
                    read(&report::decision_report(&report, &Style::default()));
                }
            }
        }
    }
}

#[test]
fn samples_of_odd_numbers_are_drawn() {
    let cells: Vec<Cell> =
        ODD.iter().map(|value| Cell::Number(*value)).chain([Cell::MISSING, Cell::Text("a".into())]).collect();
    let lists: [Vec<Cell>; 5] = [
        cells,
        Vec::new(),
        vec![Cell::MISSING; 20],
        vec![Cell::Number(f64::MAX), Cell::Number(f64::MIN), Cell::Number(0.0)],
        vec![Cell::Number(3.0); 30],
    ];
    for quantity in quantities() {
        let columns: Vec<Column> = lists
            .iter()
            .flat_map(|values| {
                [ODD.to_vec(), Vec::new(), vec![0.0; 30]].map(|shares| Column {
                    name: "f".into(),
                    values: values.clone(),
                    shares,
                })
            })
            .collect();
        let sample = Sample { quantity, columns };
        for width in [340, 720] {
            holds(&pictures::beeswarm(&sample, &style(width)));
            for feature in 0..=sample.columns.len() {
                holds(&pictures::dependence(&sample, feature, Some(0), &style(width)));
                holds(&pictures::dependence(&sample, feature, Some(99), &style(width)));
                tables::dependence(&sample, feature);
            }
        }
        tables::sample(&sample);
        read(&report::model_report(&ModelReport { sample, ..ModelReport::default() }, &Style::default()));
    }
    read(&report::model_report(&ModelReport::default(), &Style::default()));
}

#[test]
fn effects_of_odd_numbers_are_drawn() {
    for quantity in quantities() {
        for grid in [
            ODD.map(Cell::Number).to_vec(),
            Vec::new(),
            vec![Cell::Text("a".into()), Cell::MISSING],
            vec![Cell::Number(1.0)],
        ] {
            let effect = Effect {
                quantity: quantity.clone(),
                feature: "f".into(),
                grid,
                mean: ODD.to_vec(),
                rows: vec![ODD.to_vec(), vec![1.0], Vec::new()],
                is_centred: true,
                data: ODD.to_vec(),
                here: Some(f64::NAN),
            };
            holds(&pictures::effect(&effect, &style(340)));
            tables::effect(&effect);
        }
        let effects = LocalEffects {
            quantity: quantity.clone(),
            feature: "f".into(),
            edges: ODD.to_vec(),
            effects: ODD.to_vec(),
            counts: vec![u64::MAX; 20],
        };
        holds(&pictures::local_effects(&effects, &style(720)));
        holds(&pictures::local_effects(&LocalEffects::default(), &style(720)));
        tables::local_effects(&effects);
    }
}

#[test]
fn other_odd_values_are_drawn() {
    let features = ODD.map(|weight| Weight { name: "f".into(), weight, standard_error: Some(weight) }).to_vec();
    holds(&pictures::importance(&Importance { measure: String::new(), rows: Some(u64::MAX), features }, &style(340)));
    holds(&pictures::importance(&Importance::default(), &style(340)));
    let images = [
        Image::Png(Vec::new()),
        Image::Rgb { width: 0, height: 0, bytes: Vec::new() },
        Image::Rgb { width: u32::MAX, height: u32::MAX, bytes: Vec::new() },
        Image::Rgb { width: 1, height: 400, bytes: vec![0; 1200] },
        Image::Rgb { width: 400, height: 1, bytes: vec![0; 1200] },
    ];
    for image in images {
        for (rows, columns) in [(3, 3), (0, 9), (u32::MAX, u32::MAX)] {
            let quantity = Quantity::default();
            let map = HeatMap { quantity, image: image.clone(), rows, columns, shares: ODD.to_vec() };
            holds(&pictures::heat_map(&map, &style(720)));
            tables::heat_map(&map);
        }
    }
    for quantity in quantities() {
        let tokens = ODD.iter().cycle().take(1200).map(|share| Token { text: "a".into(), share: *share }).collect();
        let map = TextMap { quantity, tokens };
        holds(&pictures::text_map(&map, &style(340)));
        assert_eq!(tables::text_map(&map).rows.len(), tables::ROWS_MAX + 1);
    }
    holds(&pictures::text_map(&TextMap::default(), &style(340)));
    let found = vec![Counterfactual::default(); 40];
    let all = Counterfactuals { found, quantity: Some(Quantity::default()), ..Counterfactuals::default() };
    holds(&pictures::counterfactuals(&all, &style(340)));
    holds(&pictures::counterfactuals(&Counterfactuals::default(), &style(340)));
    tables::counterfactuals(&all);
}

#[test]
fn thousands_of_features_make_a_picture_of_a_few() {
    let shares: Vec<f64> = (0..5000).map(|at| f64::from(at % 17 - 8) * 1e-3).collect();
    let decision = decision(Quantity::default(), 0.0, shares.iter().sum(), &shares);
    let svg = pictures::waterfall(&decision, &Style::default());
    assert!(svg.len() < 30_000 && svg.contains("4,988 others"), "{}", svg.len());
    let table = tables::decision(&decision);
    assert_eq!(table.rows.len(), tables::ROWS_MAX + 3, "the start, the rest and the answer");
    assert!(table.rows.iter().any(|row| row[0] == "4,800 others"));
}

#[test]
fn few_points_are_drawn_of_many() {
    let rows = 50_000;
    let column = Column { name: "f".into(), values: vec![Cell::Number(1.0); rows], shares: vec![0.5; rows] };
    let sample = Sample { quantity: Quantity::default(), columns: vec![column; 3] };
    let style = Style { points_max: 200, ..Style::default() };
    let svg = pictures::beeswarm(&sample, &style);
    assert_eq!(svg.matches("h0").count(), 3 * 200 + 9, "points, and the nine of the legend");
    assert!(svg.contains("200 of 50,000 rows"), "it says so");
    assert!(pictures::dependence(&sample, 0, None, &style).contains("200 of 50,000 rows"));
}
