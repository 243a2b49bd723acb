//! Force: one bar in which what raises the answer pushes from the left against what lowers it from the right.
//!
//! After [`crate::rank`]. The pieces carry numbers and are named in lists below, so that no name runs into another.

use crate::{
    canvas::{Anchor, Canvas, LINE, Label, PAD, arrow},
    data::Decision,
    markup::coordinate,
    rank::{Ranked, Row, size},
    scale::{Scale, bounded},
    style::{SIZE, Style},
    text, words,
};

const BAR: f64 = 34.0;

/// Draws it.
pub fn force(decision: &Decision, style: &Style) -> String {
    let ranked = Ranked::of(decision, style.features());
    let name = text::clean(&decision.quantity.name);
    let title = format!("What pushed this answer up and down: {name}");
    let mut canvas = Canvas::new(style, &title, &words::start_and_end(&decision.quantity, &ranked));
    let of_sign = |up: bool| {
        let mut rows: Vec<&Row> =
            ranked.rows.iter().filter(|row| row.share != 0.0 && (row.share > 0.0) == up).collect();
        rows.retain(|row| row.share.is_finite());
        rows.sort_by(|one, other| size(other.share).total_cmp(&size(one.share)));
        rows
    };
    let (up, down) = (of_sign(true), of_sign(false));
    let sum = |rows: &[&Row]| rows.iter().map(|row| bounded(row.share)).sum::<f64>();
    let ends = (PAD, canvas.width - PAD);
    let places = [ranked.base, ranked.output, ranked.output - sum(&up), ranked.output - sum(&down)];
    let scale = Scale::around(places.into_iter(), 0.03, ends.0, ends.1);
    let factor = ranked.format.factor;
    canvas.y += LINE + 26.0;
    let middle = canvas.y + BAR / 2.0;
    canvas.grid_up(&scale, factor, middle - BAR / 2.0 - 8.0, middle + BAR / 2.0 + 10.0, ends);
    let numbered = pieces(&mut canvas, &scale, ranked.output, &up, "up", middle, 1);
    let first_down = 1 + up.len();
    let numbered_down = pieces(&mut canvas, &scale, ranked.output, &down, "down", middle, first_down);
    marks(&mut canvas, &scale, &ranked, words::start(decision), middle, ends);
    canvas.y = middle + BAR / 2.0 + 10.0;
    canvas.axis_below(&scale, factor, ends, &words::axis(&decision.quantity));
    canvas.y += 14.0;
    let lists = [
        List { title: "▸ Raises", rows: &up, first: 1, numbered, ink: "bold up-ink" },
        List { title: "◂ Lowers", rows: &down, first: first_down, numbered: numbered_down, ink: "bold down-ink" },
    ];
    two_lists(&mut canvas, &ranked, &lists);
    canvas.gap(&ranked);
    canvas.finish(&words::decision(&decision.quantity, &ranked))
}

/// The pieces of one direction, from the answer outwards; how many were wide enough for a number.
fn pieces(
    canvas: &mut Canvas<'_>,
    scale: &Scale,
    output: f64,
    rows: &[&Row],
    class: &'static str,
    middle: f64,
    first: usize,
) -> usize {
    let mut end = output;
    let mut numbered = 0;
    for (at, row) in rows.iter().enumerate() {
        let begin = bounded(end - bounded(row.share));
        let (from, to) = (scale.at(begin), scale.at(end));
        canvas.path(&format!("{class} edge"), &arrow_with_tail(from, to, middle));
        let number = (first + at).to_string();
        if numbered == at && (to - from).abs() > text::width(&number, SIZE, true) + 14.0 {
            let lean = (to - from).signum() * 3.0;
            canvas.text(f64::midpoint(from, to) + lean, middle + 4.5, Anchor::Middle, "bold on", &number);
            numbered += 1;
        }
        end = begin;
    }
    numbered
}

/// A piece whose tail takes the head of the one behind it.
fn arrow_with_tail(from: f64, to: f64, middle: f64) -> String {
    let tip = (to - from).abs().min(8.0) * (to - from).signum();
    if (to - from).abs() < 8.0 {
        return arrow(from, to, middle, BAR);
    }
    let (top, bottom) = (coordinate(middle - BAR / 2.0), coordinate(middle + BAR / 2.0));
    let [tail, from, neck, to, middle] = [from + tip, from, to - tip, to, middle].map(coordinate);
    format!("M{from} {top}L{neck} {top}L{to} {middle}L{neck} {bottom}L{from} {bottom}L{tail} {middle}Z")
}

/// Where the answer and the average are.
fn marks(canvas: &mut Canvas<'_>, scale: &Scale, ranked: &Ranked, start: &str, middle: f64, ends: (f64, f64)) {
    let above = middle - BAR / 2.0 - 10.0;
    let answer = format!("this answer {}", ranked.format.value(ranked.output));
    let average = format!("{start} {}", ranked.format.value(ranked.base));
    let both = [(ranked.output, &answer, "bold halo", 0.0), (ranked.base, &average, "soft halo", LINE)];
    for (value, _, _, lift) in &both {
        let x = scale.at(*value);
        canvas.straight((x, above - lift + 4.0), (x, middle + BAR / 2.0 + 10.0), "inked dash");
    }
    // After the lines, which the rim of the letters interrupts.
    for (value, told, class, lift) in both {
        let half = text::width(told, SIZE, lift == 0.0) / 2.0;
        let place = scale.at(value).clamp(ends.0 + half, (ends.1 - half).max(ends.0 + half));
        canvas.text(place, above - lift, Anchor::Middle, class, told);
    }
}

/// What one direction is made of.
struct List<'a> {
    title: &'static str,
    rows: &'a [&'a Row],
    first: usize,
    numbered: usize,
    ink: &'static str,
}

/// Side by side, or on a narrow picture one below the other.
fn two_lists(canvas: &mut Canvas<'_>, ranked: &Ranked, lists: &[List<'_>; 2]) {
    let is_narrow = canvas.style.is_narrow();
    let wide = if is_narrow { canvas.inner() } else { canvas.inner() / 2.0 - 14.0 };
    let top = canvas.y;
    let mut bottom = top;
    for (at, list) in lists.iter().enumerate() {
        let left = if is_narrow || at == 0 { PAD } else { PAD + wide + 28.0 };
        let mut y = if is_narrow { bottom } else { top };
        y += LINE + 4.0;
        let sum: f64 = list.rows.iter().map(|row| bounded(row.share)).sum();
        canvas.text(left, y, Anchor::Start, list.ink, list.title);
        canvas.text(left + wide, y, Anchor::End, list.ink, &ranked.format.share(sum));
        canvas.straight((left, y + 6.0), (left + wide, y + 6.0), "axis");
        y += 6.0;
        if list.rows.is_empty() {
            y += LINE + 3.0;
            canvas.text(left, y, Anchor::Start, "soft", "nothing");
        }
        for (at, row) in list.rows.iter().enumerate() {
            y += LINE + 3.0;
            if at < list.numbered {
                canvas.text(left + 22.0, y, Anchor::End, "bold", &format!("{}.", list.first + at));
            }
            let told = ranked.format.share(row.share);
            let room = wide - 28.0 - text::width(&told, SIZE, false) - 12.0;
            let label = Label { name: &row.name, value: row.value.as_deref() };
            canvas.label(left + 28.0, y, Anchor::Start, room, &label);
            canvas.text(left + wide, y, Anchor::End, "ink", &told);
        }
        bottom = bottom.max(y + 8.0);
    }
    canvas.y = bottom;
}
