//! Waterfall: from the average to one answer, a step for each feature, the largest first.
//!
//! After [`crate::rank`]. Steps are drawn to one scale and meet exactly; a part that the shares do not explain is a
//! step of its own.

use crate::{
    bars::Spot,
    canvas::{Anchor, Canvas, LINE, Label, PAD, Sign, arrow},
    data::Decision,
    rank::{Ranked, Row},
    scale::{Scale, bounded},
    style::{SIZE, Style},
    text, words,
};

const BAR: f64 = 20.0;
const ROW: f64 = 31.0;
/// With the label above the bar.
const TALL_ROW: f64 = 48.0;

/// Draws it.
pub fn waterfall(decision: &Decision, style: &Style) -> String {
    let ranked = Ranked::of(decision, style.features());
    let name = text::clean(&decision.quantity.name);
    let title = format!("From the {} to this answer: {name}", words::start(decision));
    let mut canvas = Canvas::new(style, &title, &words::start_and_end(&decision.quantity, &ranked));
    let plan = Plan::of(&ranked, decision.base_is.is_none(), &canvas);
    let top = canvas.y;
    let bottom = top + plan.height();
    let factor = ranked.format.factor;
    canvas.grid_up(&plan.scale, factor, top, bottom, plan.ends);
    plan.ends_of_the_way(&mut canvas, top);
    let mut from = ranked.base;
    for (at, step) in plan.steps.iter().enumerate() {
        let middle = plan.middle(top, at + 1);
        let to = bounded(from + bounded(step.row.share));
        plan.step(&mut canvas, &ranked, step, middle, (from, to));
        from = to;
    }
    canvas.y = bottom;
    let axis = words::axis(&decision.quantity);
    canvas.axis_below(&plan.scale, factor, plan.ends, &axis);
    let (raises, lowers) = (format!("raises {name}"), format!("lowers {name}"));
    let mut legend = vec![(Sign::Up, raises.as_str()), (Sign::Down, lowers.as_str())];
    if ranked.rows.iter().any(|row| row.standard_error.is_some()) {
        legend.push((Sign::Whisker, "± 2 standard errors"));
    }
    canvas.legend(&legend);
    canvas.finish(&words::decision(&decision.quantity, &ranked))
}

/// One step of the way.
struct Step<'a> {
    row: std::borrow::Cow<'a, Row>,
    is_gap: bool,
}

/// Where everything goes.
struct Plan<'a> {
    steps: Vec<Step<'a>>,
    scale: Scale,
    /// Of the plot, from left to right.
    ends: (f64, f64),
    row: f64,
    labels: f64,
    is_narrow: bool,
    is_average: bool,
    start: (f64, String),
    end: (f64, String),
}

impl<'a> Plan<'a> {
    fn of(ranked: &'a Ranked, is_average: bool, canvas: &Canvas<'_>) -> Self {
        let is_narrow = canvas.style.is_narrow();
        let mut steps: Vec<Step<'a>> =
            ranked.rows.iter().map(|row| Step { row: std::borrow::Cow::Borrowed(row), is_gap: false }).collect();
        if ranked.shows_residual() {
            let gap = Row {
                name: "not explained".to_owned(),
                value: None,
                share: ranked.residual,
                standard_error: None,
                features: 0,
            };
            steps.push(Step { row: std::borrow::Cow::Owned(gap), is_gap: true });
        }
        let labels = steps.iter().map(|step| wish(&step.row)).fold(150.0, f64::max).min(canvas.inner() * 0.4);
        let left = if is_narrow { PAD } else { PAD + labels + 10.0 };
        let ends = (left, canvas.width - PAD);
        let mut places = vec![ranked.base, ranked.output];
        let mut at = ranked.base;
        for step in &steps {
            at = bounded(at + bounded(step.row.share));
            places.push(at);
            let error = 2.0 * step.row.standard_error.unwrap_or(0.0);
            places.extend([at - error, at + error]);
        }
        Self {
            scale: Scale::around(places.into_iter(), 0.07, ends.0, ends.1),
            steps,
            ends,
            row: if is_narrow { TALL_ROW } else { ROW },
            labels: if is_narrow { canvas.inner() } else { labels },
            is_narrow,
            is_average,
            start: (ranked.base, ranked.format.value(ranked.base)),
            end: (ranked.output, ranked.format.value(ranked.output)),
        }
    }

    fn height(&self) -> f64 {
        self.row * crate::number::real(self.steps.len() + 2)
    }

    /// The middle of the bar in a row; row 0 is the start.
    fn middle(&self, top: f64, row: usize) -> f64 {
        let above = if self.is_narrow { LINE } else { 0.0 };
        top + self.row * crate::number::real(row) + above + (self.row - above) / 2.0
    }

    /// The first and the last row, and the lines that lead to and from them.
    fn ends_of_the_way(&self, canvas: &mut Canvas<'_>, top: f64) {
        let last = self.steps.len() + 1;
        let rows = [
            (0, &self.start, if self.is_average { "Average (the start)" } else { "Start" }),
            (last, &self.end, "This answer"),
        ];
        for (row, (value, told), name) in rows {
            let (x, middle) = (self.scale.at(*value), self.middle(top, row));
            self.name(canvas, middle, "bold", &Label { name, value: None });
            canvas.straight((x, middle - BAR / 2.0), (x, middle + BAR / 2.0), "inked");
            canvas.dots("inked", 9.0, &format!("M{} {}h0", crate::markup::coordinate(x), middle));
            let wide = text::width(told, SIZE, true);
            let is_left = x + 10.0 + wide > self.ends.1;
            let (x, anchor) = if is_left { (x - 10.0, Anchor::End) } else { (x + 10.0, Anchor::Start) };
            canvas.text(x, middle + 4.5, anchor, "bold halo", told);
        }
        // Down from the start to the last row, so that the whole way is seen at once.
        let x = self.scale.at(self.start.0);
        let (from, to) = (self.middle(top, 0) + BAR / 2.0, self.middle(top, last) + BAR / 2.0);
        canvas.straight((x, from), (x, to), "axis dash");
    }

    fn name(&self, canvas: &mut Canvas<'_>, middle: f64, class: &'static str, label: &Label<'_>) {
        let (x, y, anchor) = if self.is_narrow {
            (PAD, middle - BAR / 2.0 - 6.0, Anchor::Start)
        } else {
            (self.ends.0 - 10.0, middle + 4.5, Anchor::End)
        };
        if class.is_empty() {
            canvas.label(x, y, anchor, self.labels, label);
        } else {
            canvas.text(x, y, anchor, class, &text::clip(label.name, self.labels, SIZE, true));
        }
    }

    fn step(&self, canvas: &mut Canvas<'_>, ranked: &Ranked, step: &Step<'_>, middle: f64, way: (f64, f64)) {
        let (from, to) = (self.scale.at(way.0), self.scale.at(way.1));
        let class = match (step.is_gap, step.row.share >= 0.0) {
            (true, _) => "neutral",
            (false, true) => "up",
            (false, false) => "down",
        };
        // From the end of the step before.
        let above = middle - self.row + BAR / 2.0;
        canvas.straight((from, above), (from, middle - BAR / 2.0), "axis");
        self.name(canvas, middle, "", &Label { name: &step.row.name, value: step.row.value.as_deref() });
        canvas.path(class, &arrow(from, to, middle, BAR));
        let mut taken = (from.min(to), from.max(to));
        if let Some(error) = step.row.standard_error {
            let ends = (self.scale.at(way.1 - 2.0 * error), self.scale.at(way.1 + 2.0 * error));
            canvas.whisker(ends, middle);
            taken = (taken.0.min(ends.0), taken.1.max(ends.1));
        }
        let spot = Spot { bar: (from, to), taken, ends: self.ends, middle, class };
        canvas.told(&spot, &ranked.format.share(step.row.share));
    }
}

/// How much room a row's label would like.
fn wish(row: &Row) -> f64 {
    let value =
        row.value.as_deref().map_or(0.0, |value| text::width(value, SIZE, false) + text::width(" = ", SIZE, false));
    text::width(&row.name, SIZE, false) + value
}
