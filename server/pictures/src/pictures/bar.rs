//! Bars: the shares of one decision to both sides of zero, and how much each feature matters to a model.
//!
//! After [`crate::rank`]. Both are a column of labels and bars on one scale that begin at zero.

use crate::{
    bars::Spot,
    canvas::{Anchor, Canvas, LINE, Label, PAD, Sign, arrow},
    data::{Decision, Importance, Quantity, Sample, Space, Weight},
    number::{Format, real},
    rank::{self, Ranked},
    scale::{Scale, bounded},
    style::{SIZE, Style},
    text, words,
};

const BAR: f64 = 18.0;

/// One bar to be drawn.
struct Bar<'a> {
    label: Label<'a>,
    value: f64,
    error: Option<f64>,
    class: &'static str,
    told: String,
}

/// The shares of one decision, each from zero.
pub fn bar(decision: &Decision, style: &Style) -> String {
    let ranked = Ranked::of(decision, style.features());
    let quantity = &decision.quantity;
    let name = text::clean(&quantity.name);
    let title = format!("What counted in this answer: {name}");
    let mut canvas = Canvas::new(style, &title, &words::start_and_end(quantity, &ranked));
    let bars = ranked.rows.iter().map(|row| Bar {
        label: Label { name: &row.name, value: row.value.as_deref() },
        value: row.share,
        error: row.standard_error,
        class: if row.share >= 0.0 { "up" } else { "down" },
        told: ranked.format.share(row.share),
    });
    let bars: Vec<Bar<'_>> = bars.collect();
    rows(&mut canvas, &bars, ranked.format.factor, &words::share_axis(quantity));
    let (raises, lowers) = (format!("raises {name}"), format!("lowers {name}"));
    let mut legend = vec![(Sign::Up, raises.as_str()), (Sign::Down, lowers.as_str())];
    if bars.iter().any(|bar| bar.error.is_some()) {
        legend.push((Sign::Whisker, "± 2 standard errors"));
    }
    canvas.legend(&legend);
    canvas.gap(&ranked);
    canvas.finish(&words::decision(quantity, &ranked))
}

/// How much each feature matters to a model as a whole.
pub fn importance(importance: &Importance, style: &Style) -> String {
    let (shown, rest) = split(importance, style.features());
    // Weights are not the explained quantity: they are told as they are.
    let neutral = Quantity { space: Space::Raw, ..Quantity::default() };
    let format = Format::of(&neutral, importance.features.iter().map(|feature| feature.weight));
    let rows_told = importance.rows.map(|rows| format!("Over {} rows.", crate::number::count(rows)));
    let title = "What matters most to this model";
    let mut canvas = Canvas::new(style, title, &rows_told.unwrap_or_default());
    let names: Vec<String> = shown.iter().map(|weight| text::clean(&weight.name)).collect();
    let mut bars: Vec<Bar<'_>> = shown
        .iter()
        .zip(&names)
        .map(|(weight, name)| Bar {
            label: Label { name, value: None },
            value: weight.weight,
            error: weight.standard_error.filter(|error| error.is_finite() && *error > 0.0),
            class: "line-ink",
            told: format.number(weight.weight),
        })
        .collect();
    let others = rank::others(rest.len());
    if !rest.is_empty() {
        let sum: f64 = rest.iter().map(|weight| bounded(weight.weight)).sum();
        let label = Label { name: &others, value: None };
        bars.push(Bar { label, value: sum, error: None, class: "neutral", told: format.number(sum) });
    }
    if bars.is_empty() {
        return Canvas::nothing(style, title, "There is no feature to show.");
    }
    rows(&mut canvas, &bars, 1.0, &text::clean(&importance.measure));
    let mut legend = Vec::new();
    if !rest.is_empty() {
        legend.push((Sign::Neutral, "others, summed"));
    }
    if bars.iter().any(|bar| bar.error.is_some()) {
        legend.push((Sign::Whisker, "± 2 standard errors"));
    }
    if !legend.is_empty() {
        canvas.legend(&legend);
    }
    let told: Vec<String> =
        bars.iter().map(|bar| format!("{}: {}.", text::isolated(bar.label.name), bar.told)).collect();
    canvas.finish(&format!("{}, the largest first. {}", text::clean(&importance.measure), told.join(" ")))
}

/// How much each feature matters by the mean of its absolute shares, to be drawn by [`importance`]. In percentage points
/// where the shares are those of a probability.
pub fn mean_shares(sample: &Sample) -> Importance {
    let factor = Format::of(&sample.quantity, std::iter::empty()).factor;
    let features = sample.columns.iter().map(|column| Weight {
        name: column.name.clone(),
        weight: super::beeswarm::weight(column) * factor,
        standard_error: None,
    });
    let rows = sample.columns.iter().map(|column| column.shares.len()).max().unwrap_or(0);
    Importance {
        measure: format!("mean absolute {}", words::share_axis(&sample.quantity)),
        rows: u64::try_from(rows).ok(),
        features: features.collect(),
    }
}

/// The heaviest features and the rest.
pub(crate) fn split(importance: &Importance, most: usize) -> (Vec<&Weight>, Vec<&Weight>) {
    let mut order: Vec<&Weight> = importance.features.iter().collect();
    order.sort_by(|one, other| rank::size(other.weight).total_cmp(&rank::size(one.weight)));
    let shown = if order.len() <= most.saturating_add(1) { order.len() } else { most };
    let rest = order.split_off(shown);
    (order, rest)
}

/// Labels, bars, numbers and the axis below.
fn rows(canvas: &mut Canvas<'_>, bars: &[Bar<'_>], factor: f64, axis: &str) {
    let is_narrow = canvas.style.is_narrow();
    let wish = |bar: &Bar<'_>| {
        let value = bar.label.value.map_or(0.0, |value| text::width(value, SIZE, false) + 20.0);
        text::width(bar.label.name, SIZE, false) + value
    };
    let labels = bars.iter().map(wish).fold(90.0, f64::max).min(canvas.inner() * 0.4);
    let left = if is_narrow { PAD } else { PAD + labels + 10.0 };
    let ends = (left, canvas.width - PAD);
    let tops = bars.iter().flat_map(|bar| {
        let error = 2.0 * bar.error.unwrap_or(0.0);
        [bar.value, bar.value - error, bar.value + error]
    });
    // Room for a number beyond the longest bar.
    let widest = bars.iter().map(|bar| text::width(&bar.told, SIZE, true)).fold(0.0, f64::max) + 10.0;
    let values: Vec<f64> = tops.chain([0.0]).filter(|value| value.is_finite()).collect();
    let has_low = values.iter().any(|value| *value < 0.0);
    let has_high = values.iter().any(|value| *value > 0.0);
    let from = if has_low { ends.0 + widest } else { ends.0 };
    let to = if has_high { ends.1 - widest } else { ends.1 };
    let scale = Scale::around(values.into_iter(), 0.0, from, to.max(from + 1.0));
    let (row, above) = if is_narrow { (BAR + LINE + 9.0, LINE) } else { (BAR + 10.0, 0.0) };
    let top = canvas.y;
    let bottom = top + row * real(bars.len());
    canvas.grid_up(&scale, factor, top, bottom, (from, to));
    for (at, bar) in bars.iter().enumerate() {
        let middle = top + row * real(at) + above + (row - above) / 2.0;
        let (x, y, anchor, room) = if is_narrow {
            (PAD, middle - BAR / 2.0 - 5.0, Anchor::Start, canvas.inner())
        } else {
            (ends.0 - 10.0, middle + 4.5, Anchor::End, labels)
        };
        canvas.label(x, y, anchor, room, &bar.label);
        let (zero, end) = (scale.at(0.0), scale.at(bar.value));
        // Between labels that stand above bars the line would run through words.
        let beyond = if is_narrow { 3.0 } else { 5.0 };
        canvas.straight((zero, middle - BAR / 2.0 - beyond), (zero, middle + BAR / 2.0 + beyond), "inked");
        match bar.class {
            "up" | "down" => canvas.path(bar.class, &arrow(zero, end, middle, BAR)),
            class => canvas.rect((zero.min(end), middle - BAR / 2.0), ((end - zero).abs(), BAR), class),
        }
        let mut taken = (zero.min(end), zero.max(end));
        if let Some(error) = bar.error {
            let whisker = (scale.at(bar.value - 2.0 * error), scale.at(bar.value + 2.0 * error));
            canvas.whisker(whisker, middle);
            taken = (taken.0.min(whisker.0), taken.1.max(whisker.1));
        }
        canvas.told(&Spot { bar: (zero, end), taken, ends, middle, class: bar.class }, &bar.told);
    }
    canvas.y = bottom;
    canvas.axis_below(&scale, factor, (from, to), axis);
}
