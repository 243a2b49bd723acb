//! Counterfactuals: what would have had to be otherwise for the model to say something else, as a table that is drawn.
//!
//! Each block is one way; within it only what changes, from what to what. Reports have the same as a table of HTML.

use crate::{
    canvas::{Anchor, Canvas, LINE, PAD},
    data::{Counterfactual, Counterfactuals, Quantity},
    number::Format,
    style::{SIZE, Style},
    text, words,
};

/// More ways are not drawn.
const FOUND_MAX: usize = 10;
const ROW: f64 = 26.0;

/// Draws it.
pub fn counterfactuals(all: &Counterfactuals, style: &Style) -> String {
    let now = text::clean(&all.now);
    let title = "What would have changed this answer";
    let below = format!("The model said: {}.", text::isolated(&now));
    if all.found.is_empty() {
        return Canvas::nothing(style, title, &format!("{below} No way to another answer was found."));
    }
    let mut canvas = Canvas::new(style, title, &below);
    for (at, one) in all.found.iter().take(FOUND_MAX).enumerate() {
        block(&mut canvas, all, one, at + 1);
    }
    if all.found.len() > FOUND_MAX {
        canvas.y += 8.0;
        canvas.note(&format!("{} more were found.", all.found.len() - FOUND_MAX));
    }
    let told: Vec<String> = all.found.iter().take(FOUND_MAX).map(sentence).collect();
    canvas.finish(&format!("{below} {}", told.join(" ")))
}

/// One way in a sentence.
pub(crate) fn sentence(one: &Counterfactual) -> String {
    let then = text::isolated(&text::clean(&one.then));
    if one.changes.is_empty() {
        return format!("With nothing changed the model would have said {then}.");
    }
    let changes: Vec<String> = one
        .changes
        .iter()
        .map(|change| {
            let [name, from, to] =
                [&change.name, &change.from, &change.to].map(|part| text::isolated(&text::clean(part)));
            format!("{name} had been {to} instead of {from}")
        })
        .collect();
    format!("If {}, the model would have said {then}.", words::listed(&changes))
}

/// The quantity then: "probability of granted 53.2 %".
pub(crate) fn reached(quantity: &Quantity, output: f64) -> String {
    let told = Format::of(quantity, std::iter::once(output)).value(output);
    format!("{} {told}", text::isolated(&text::clean(&quantity.name)))
}

fn block(canvas: &mut Canvas<'_>, all: &Counterfactuals, one: &Counterfactual, number: usize) {
    canvas.y += 8.0;
    let top = canvas.y;
    let is_narrow = canvas.style.is_narrow();
    let each = if is_narrow { ROW + LINE } else { ROW };
    let rows = crate::number::real(one.changes.len().max(1));
    let head = format!("{number}. Then: {}", text::isolated(&text::clean(&one.then)));
    let then = all.quantity.as_ref().zip(one.output).map(|(quantity, output)| reached(quantity, output));
    let is_below = is_narrow && then.is_some();
    let above = if is_below { 34.0 + LINE } else { 34.0 };
    let high = above + each * rows + 6.0;
    canvas.rect((PAD, top), (canvas.inner(), high), "panel");
    let inner = PAD + 12.0;
    let room = canvas.inner() - 24.0;
    let head_room = if is_narrow || then.is_none() { room } else { room * 0.42 - 12.0 };
    canvas.text(inner, top + 22.0, Anchor::Start, "bold", &text::clip(&head, head_room, SIZE, true));
    if let Some(then) = then {
        let (x, y, width) =
            if is_narrow { (inner, top + 22.0 + LINE, room) } else { (inner + room * 0.42, top + 22.0, room * 0.58) };
        canvas.text(x, y, Anchor::Start, "soft", &text::clip(&then, width, SIZE, false));
    }
    let mut y = top + above;
    canvas.straight((inner, y - 3.0), (inner + room, y - 3.0), "grid");
    if one.changes.is_empty() {
        canvas.text(inner, y + 16.0, Anchor::Start, "soft", "nothing changed");
    }
    for change in &one.changes {
        let [name, from, to] = [&change.name, &change.from, &change.to].map(|part| text::clean(part));
        let (left, width) = if is_narrow { (inner, room) } else { (inner + room * 0.42, room * 0.58) };
        let name_room = if is_narrow { room } else { room * 0.42 - 12.0 };
        canvas.text(inner, y + 16.0, Anchor::Start, "ink", &text::clip(&name, name_room, SIZE, false));
        let line = if is_narrow { y + 16.0 + LINE } else { y + 16.0 };
        let from = text::clip(&from, width * 0.4, SIZE, false);
        let after = left + text::width(&from, SIZE, false) + 8.0;
        canvas.text(left, line, Anchor::Start, "soft", &from);
        canvas.text(after, line, Anchor::Start, "soft", "→");
        let rest = left + width - (after + 22.0);
        canvas.text(after + 22.0, line, Anchor::Start, "bold", &text::clip(&to, rest, SIZE, true));
        y += each;
    }
    canvas.y = top + high;
}
