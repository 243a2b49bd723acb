//! Small pictures as they are written, byte by byte. After a wanted change: `INSTA_UPDATE=always cargo test -p
//! candor-pictures snapshots`, and read the difference.

use candor_pictures::{
    Style,
    data::{Decision, Quantity, Share},
    pictures, tables,
};

fn small() -> Decision {
    let share = |name: &str, value: &str, share| Share {
        name: name.into(),
        value: Some(value.into()),
        share,
        standard_error: None,
    };
    Decision {
        quantity: Quantity { name: "price".into(), unit: Some("€".into()), ..Quantity::default() },
        base_is: None,
        base: 100.0,
        output: 112.0,
        shares: vec![share("rooms & <doors>", "5", 17.0), share("noise", "72 dB", -5.0)],
    }
}

fn style() -> Style {
    Style { width: 600, standalone: false, id: "small".into(), ..Style::default() }
}

#[test]
fn waterfall() {
    insta::assert_snapshot!(pictures::waterfall(&small(), &style()));
}

#[test]
fn force() {
    insta::assert_snapshot!(pictures::force(&small(), &style()));
}

#[test]
fn bar() {
    insta::assert_snapshot!(pictures::bar(&small(), &Style { width: 340, ..style() }));
}

#[test]
fn table() {
    insta::assert_snapshot!(tables::decision(&small()).to_html());
}

#[test]
fn style_sheet() {
    insta::assert_snapshot!(candor_pictures::style::style_sheet(candor_pictures::Theme::Auto));
}
