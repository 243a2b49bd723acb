//! Explanations to look at: a credit decision, houses, flowers, and names that nobody wishes for.
//!
//! Used by the gallery and by the tests. The numbers are made up, the sums are right.

use candor_pictures::data::{
    Cell, Change, Column, Counterfactual, Counterfactuals, Decision, Effect, HeatMap, Image, Importance, LocalEffects,
    Quantity, Sample, Share, Space, TextMap, Token, Weight,
};

/// What a model that grants credit says.
pub fn credit_quantity() -> Quantity {
    Quantity { name: "probability of granted".into(), unit: None, space: Space::Probability }
}

/// One application.
pub fn credit() -> Decision {
    let shares = [
        ("income", "38,500 €", -0.112),
        ("debt ratio", "0.61", -0.184),
        ("years at address", "7", 0.058),
        ("age of oldest account", "11 years", 0.094),
        ("late payments, last 24 months", "2", -0.143),
        ("employment", "permanent", 0.071),
        ("housing", "renter", -0.022),
        ("purpose", "car", 0.013),
        ("number of open accounts", "4", 0.009),
        ("guarantor", "none", -0.006),
        ("savings", "1,200 €", -0.031),
        ("dependants", "1", 0.002),
        ("phone", "yes", 0.0),
        ("term", "48 months", -0.017),
        ("requested amount", "14,000 €", -0.024),
        ("region", "north", 0.004),
    ];
    let shares: Vec<Share> = shares
        .into_iter()
        .map(|(name, value, share)| Share { name: name.into(), value: Some(value.into()), share, standard_error: None })
        .collect();
    let output = 0.574 + shares.iter().map(|share| share.share).sum::<f64>();
    Decision { quantity: credit_quantity(), base: 0.574, base_is: None, output, shares }
}

/// Sampled shares of a price, with their errors.
pub fn house() -> Decision {
    let shares = [
        ("living area", "142 m²", 64_200.0, 2100.0),
        ("distance to centre", "11.4 km", -38_900.0, 1800.0),
        ("year built", "1987", -12_400.0, 900.0),
        ("garden", "yes", 8300.0, 1200.0),
        ("rooms", "5", 4100.0, 2300.0),
    ];
    let shares: Vec<Share> = shares
        .into_iter()
        .map(|(name, value, share, error)| Share {
            name: name.into(),
            value: Some(value.into()),
            share,
            standard_error: Some(error),
        })
        .collect();
    let output = 312_000.0 + shares.iter().map(|share| share.share).sum::<f64>();
    let quantity = Quantity { name: "price".into(), unit: Some("€".into()), space: Space::Raw };
    Decision { quantity, base: 312_000.0, base_is: None, output, shares }
}

/// Names and values from hell, and hundreds of them.
pub fn hostile() -> Decision {
    let mut shares: Vec<Share> = HOSTILE
        .iter()
        .enumerate()
        .map(|(at, name)| Share {
            name: (*name).into(),
            value: Some(HOSTILE.iter().rev().nth(at).copied().unwrap_or_default().into()),
            share: if at % 2 == 0 { 1.0 } else { -0.7 } / (at + 1) as f64,
            standard_error: None,
        })
        .collect();
    shares.push(Share {
        name: "w".repeat(5000),
        value: Some("9".repeat(5000)),
        share: 0.9,
        standard_error: Some(0.05),
    });
    for at in 0..400 {
        let share = if at % 3 == 0 { -0.004 } else { 0.003 };
        shares.push(Share {
            name: format!("embedding_{at:03}"),
            value: Some(format!("{at}")),
            share,
            standard_error: None,
        });
    }
    let output = -1.2 + shares.iter().map(|share| share.share).sum::<f64>();
    let name = "log-odds of \"<b>bad</b>\" & 'worse'\u{202e}";
    Decision {
        quantity: Quantity { name: name.into(), unit: None, space: Space::Margin },
        base: -1.2,
        base_is: None,
        output,
        shares,
    }
}

/// What somebody may have called a column.
pub const HOSTILE: [&str; 12] = [
    "<script>alert(1)</script>",
    "\"><svg onload=alert(1)>",
    "a & b < c > d 'e' \"f\"",
    "control\u{0}\u{7}\u{1b}[31m\u{85}",
    "over\u{202e}ride\u{2066}s\u{200f}",
    "גיל הלקוח (שנים)",
    "عدد الأشهر منذ آخر دفعة متأخرة",
    "年収（万円）と勤続年数の合計",
    "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂",
    "",
    "line\nbreak\r\nand\ttab",
    "a_very_long_name_of_a_feature_that_somebody_made_from_a_join_of_seven_tables_and_never_shortened__mean_of_last_24_months",
];

/// Numbers that look drawn, and are the same each time (an xorshift generator by Marsaglia).
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Between 0 and 1.
    pub fn even(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal, mean 0, deviation 1: the sum of twelve.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }
}

/// From −1 to 1. Of sums, products and roots alone, whose last bits are the same on all processors.
fn bend(x: f64) -> f64 {
    x / (1.0 + x * x).sqrt()
}

/// Mostly small, sometimes large.
fn tail(even: f64) -> f64 {
    0.6 / (0.12 + even) - 0.4 + 0.3 * even
}

/// Many applications, explained.
pub fn credits(rows: usize) -> Sample {
    let mut draws = Draws::new(7);
    let names = [
        "debt ratio",
        "late payments, last 24 months",
        "income",
        "age of oldest account",
        "employment",
        "years at address",
        "savings",
        "requested amount",
        "term",
        "housing",
        "number of open accounts",
        "dependants",
        "region",
        "phone",
    ];
    let mut columns: Vec<Column> =
        names.iter().map(|name| Column { name: (*name).into(), ..Column::default() }).collect();
    for _ in 0..rows {
        let ratio = (0.35 + 0.18 * draws.normal()).clamp(0.0, 1.2);
        let income = 21_000.0 + 14_000.0 * tail(draws.even());
        for (at, column) in columns.iter_mut().enumerate() {
            let noise = 0.008 * draws.normal();
            let (value, share) = match at {
                0 => (
                    Cell::Number(ratio),
                    0.19 * bend((0.42 - ratio) * 4.0) - if income < 30_000.0 { 0.04 } else { 0.0 },
                ),
                1 => {
                    let late = (draws.even().powi(3) * 5.0).floor();
                    (Cell::Number(late), 0.05 - 0.07 * late)
                }
                2 if draws.even() < 0.04 => (Cell::MISSING, -0.03),
                2 => (Cell::Number(income), 0.14 * bend((income - 34_000.0) / 18_000.0)),
                3 => {
                    let years = draws.even() * 24.0;
                    (Cell::Number(years), 0.006 * (years - 9.0))
                }
                4 => {
                    let kinds =
                        [("permanent", 0.04), ("temporary", -0.035), ("self-employed", -0.01), ("retired", 0.02)];
                    let (kind, share) = kinds[(draws.even() * 4.0) as usize % 4];
                    (Cell::Text(kind.into()), share)
                }
                _ => {
                    let value = draws.normal();
                    (Cell::Number(value), 0.05 * value / (at * at - 14) as f64 * if at % 2 == 0 { 3.0 } else { -3.0 })
                }
            };
            column.values.push(value);
            column.shares.push(share + noise);
        }
    }
    Sample { quantity: credit_quantity(), columns }
}

/// Partial dependence of a model on a ratio, with single rows.
pub fn ratio_effect() -> Effect {
    let mut draws = Draws::new(11);
    let grid: Vec<f64> = (0..25).map(|at| f64::from(at) / 20.0).collect();
    let rows: Vec<Vec<f64>> = (0..60)
        .map(|_| {
            let (lift, knee, steep) = (0.09 * draws.normal(), 0.45 + 0.05 * draws.normal(), 3.0 + 4.0 * draws.even());
            grid.iter().map(|x| (0.55 + lift - 0.27 * bend(steep * (x - knee))).clamp(0.01, 0.99)).collect()
        })
        .collect();
    let mean = (0..grid.len()).map(|at| rows.iter().map(|row| row[at]).sum::<f64>() / rows.len() as f64).collect();
    Effect {
        quantity: credit_quantity(),
        feature: "debt ratio".into(),
        grid: grid.into_iter().map(Cell::Number).collect(),
        mean,
        rows,
        is_centred: false,
        data: vec![0.11, 0.19, 0.25, 0.31, 0.35, 0.4, 0.45, 0.51, 0.6],
        here: Some(0.61),
    }
}

/// Partial dependence on a category.
pub fn employment_effect() -> Effect {
    let mut draws = Draws::new(3);
    let means = [("permanent", 0.61), ("retired", 0.585), ("self-employed", 0.55), ("temporary", 0.512)];
    let rows = (0..40)
        .map(|_| {
            let lift = 0.08 * draws.normal();
            means.iter().map(|(_, mean)| (mean + lift + 0.01 * draws.normal()).clamp(0.0, 1.0)).collect()
        })
        .collect();
    Effect {
        quantity: credit_quantity(),
        feature: "employment".into(),
        grid: means.iter().map(|(name, _)| Cell::Text((*name).into())).collect(),
        mean: means.iter().map(|(_, mean)| *mean).collect(),
        rows,
        ..Effect::default()
    }
}

/// Accumulated local effects.
pub fn age_effects() -> LocalEffects {
    LocalEffects {
        quantity: credit_quantity(),
        feature: "age of oldest account".into(),
        edges: vec![0.0, 1.5, 3.0, 5.0, 7.5, 10.0, 13.0, 17.0, 24.0],
        effects: vec![-0.081, -0.068, -0.049, -0.022, 0.004, 0.021, 0.038, 0.051, 0.054],
        counts: vec![41, 52, 77, 102, 96, 61, 44, 27],
    }
}

/// Shares of features as a whole.
pub fn weights() -> Importance {
    candor_pictures::pictures::mean_shares(&credits(400))
}

/// Ways to another answer.
pub fn ways() -> Counterfactuals {
    let change = |name: &str, from: &str, to: &str| Change { name: name.into(), from: from.into(), to: to.into() };
    Counterfactuals {
        now: "refused".into(),
        quantity: Some(credit_quantity()),
        output: Some(0.286),
        found: vec![
            Counterfactual {
                then: "granted".into(),
                output: Some(0.532),
                changes: vec![change("debt ratio", "0.61", "0.34")],
            },
            Counterfactual {
                then: "granted".into(),
                output: Some(0.514),
                changes: vec![
                    change("late payments, last 24 months", "2", "0"),
                    change("requested amount", "14,000 €", "9,500 €"),
                ],
            },
            Counterfactual {
                then: "granted".into(),
                output: Some(0.508),
                changes: vec![
                    change("debt ratio", "0.61", "0.48"),
                    change("savings", "1,200 €", "6,000 €"),
                    change("term", "48 months", "60 months"),
                ],
            },
        ],
    }
}

/// A drawn image of a "digit" with the shares of a grid upon it.
pub fn digit() -> HeatMap {
    let (width, height) = (112_u32, 112_u32);
    let mut bytes = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (dx, dy) = ((f64::from(x) - 56.0) / 30.0, (f64::from(y) - 56.0) / 42.0);
            let ring = (dx * dx + dy * dy).sqrt();
            let ink = (1.0 - (ring - 0.8).abs() * 4.0).clamp(0.0, 1.0);
            let level = 30.0 + 215.0 * ink;
            bytes.extend([level as u8, (level * 0.92) as u8, (level * 0.75) as u8]);
        }
    }
    let shares = (0..14 * 14)
        .map(|at| {
            let (row, column) = (f64::from(at / 14), f64::from(at % 14));
            let (dx, dy) = ((column - 6.5) / 3.75, (row - 6.5) / 5.25);
            let ring = (dx * dx + dy * dy).sqrt();
            0.031 * (1.0 - (ring - 0.8).abs() * 2.5).max(0.0) * (1.2 + dy) - 0.02 * (0.35 - ring).max(0.0)
        })
        .collect();
    let quantity = Quantity { name: "probability of zero".into(), unit: None, space: Space::Probability };
    HeatMap { quantity, image: Image::Rgb { width, height, bytes }, rows: 14, columns: 14, shares }
}

/// Another measure of importance, with errors.
pub fn shuffled() -> Importance {
    let features = [
        ("debt ratio", 0.091, 0.006),
        ("late payments, last 24 months", 0.074, 0.005),
        ("income", 0.048, 0.006),
        ("age of oldest account", 0.031, 0.004),
        ("employment", 0.012, 0.003),
        ("savings", 0.004, 0.003),
        ("region", -0.001, 0.002),
    ]
    .map(|(name, weight, error)| Weight { name: name.into(), weight, standard_error: Some(error) });
    Importance {
        measure: "accuracy lost when the feature is shuffled".into(),
        rows: Some(2000),
        features: features.into(),
    }
}

/// A review, word by word.
pub fn review() -> TextMap {
    let words = [
        ("The", 0.001),
        ("room", 0.012),
        ("was", -0.002),
        ("clean", 0.11),
        ("and", 0.0),
        ("the", 0.001),
        ("staff", 0.02),
        ("were", 0.001),
        ("friendly,", 0.142),
        ("but", -0.061),
        ("the", -0.001),
        ("heating", -0.018),
        ("did", -0.012),
        ("not", -0.163),
        ("work", -0.052),
        ("and", -0.003),
        ("nobody", -0.121),
        ("came", -0.008),
        ("to", 0.0),
        ("repair", -0.047),
        ("it", 0.0),
        ("for", -0.002),
        ("three", -0.015),
        ("nights.", -0.011),
        ("Breakfast", 0.019),
        ("was", 0.001),
        ("excellent.", 0.173),
    ];
    let tokens = words.map(|(text, share)| Token { text: text.into(), share }).into();
    let quantity = Quantity { name: "probability of a good review".into(), unit: None, space: Space::Probability };
    TextMap { quantity, tokens }
}
