//! Text map: a text with the words marked that raised the answer and those that lowered it.
//!
//! A mark above a word raises, one below it lowers; its height, and how strong its colour is, are the size of the share.

use crate::{
    canvas::{Anchor, Canvas, PAD, Sign},
    data::TextMap,
    markup::attributes,
    number::{self, Format},
    rank,
    scale::bounded,
    style::{SIZE, Style},
    text, words,
};

/// More tokens are not drawn.
const TOKENS_MAX: usize = 1000;
/// From one line to the next.
const STEP: f64 = 36.0;
/// Of the strongest mark.
const MARK: f64 = 6.0;
/// Behind the strongest word, so that the word is still read.
const OPACITY: f64 = 0.3;
const GAP: f64 = 5.0;

/// Draws it.
pub fn text_map(map: &TextMap, style: &Style) -> String {
    let title = format!("Which words counted: {}", text::clean(&map.quantity.name));
    if map.tokens.is_empty() {
        return Canvas::nothing(style, &title, "There is no word to show.");
    }
    let mut canvas = Canvas::new(style, &title, "The higher the mark at a word, the more it counted.");
    let largest = map.tokens.iter().map(|token| bounded(token.share).abs()).fold(0.0, f64::max);
    let mut x = PAD;
    canvas.y += STEP - 12.0;
    for token in map.tokens.iter().take(TOKENS_MAX) {
        let told = text::clip(&text::clean(&token.text), canvas.inner(), SIZE, false);
        let wide = text::width(&told, SIZE, false);
        if x > PAD && x + wide > canvas.width - PAD {
            x = PAD;
            canvas.y += STEP;
        }
        let strength = if largest > 0.0 { bounded(token.share).abs() / largest } else { 0.0 };
        mark(&mut canvas, x, wide, token.share, strength);
        let y = canvas.y;
        canvas.text(x, y, Anchor::Start, "ink", &told);
        x += wide + GAP;
    }
    canvas.y += 8.0;
    let left = map.tokens.len().saturating_sub(TOKENS_MAX);
    if left > 0 {
        canvas.note(&format!("{} not drawn.", number::counted(left, "more word is", "more words are")));
    }
    let name = text::clean(&map.quantity.name);
    let (raises, lowers) = (format!("above: raises {name}"), format!("below: lowers {name}"));
    canvas.legend(&[(Sign::Above, &raises), (Sign::Below, &lowers)]);
    canvas.y += 6.0;
    let format = Format::of(&map.quantity, map.tokens.iter().map(|token| token.share));
    let strongest = format.number(largest);
    canvas.note(&format!("The strongest word counts {strongest}{}.", words::unit(&map.quantity)));
    let told: Vec<String> = strongest_of(map, 8)
        .map(|(_, word, share)| format!("{} {}", text::isolated(&word), format.share(share)))
        .collect();
    canvas.finish(&format!(
        "A text of {}; the strongest: {}.",
        number::counted(map.tokens.len(), "word", "words"),
        told.join(", ")
    ))
}

fn mark(canvas: &mut Canvas<'_>, x: f64, wide: f64, share: f64, strength: f64) {
    if !share.is_finite() || strength <= 0.0 {
        return;
    }
    let (top, bottom) = (canvas.y - 13.0, canvas.y + 5.0);
    let class = if share > 0.0 { "up" } else { "down" };
    let ground = attributes! {
        "x" => x - 1.5, "y" => top, "width" => wide + 3.0, "height" => bottom - top, "class" => class,
        "style" => "stroke:none", "fill-opacity" => OPACITY * strength,
    };
    canvas.body.leaf("rect", ground);
    let high = MARK * strength;
    let y = if share > 0.0 { top - high } else { bottom };
    let bar = attributes! {
        "x" => x - 1.5, "y" => y, "width" => wide + 3.0, "height" => high, "class" => class, "style" => "stroke:none",
    };
    canvas.body.leaf("rect", bar);
    canvas.body.line();
}

/// Place, word and share of the words with the largest shares.
pub(crate) fn strongest_of(map: &TextMap, most: usize) -> impl ExactSizeIterator<Item = (usize, String, f64)> {
    let mut order: Vec<(usize, String, f64)> =
        map.tokens.iter().enumerate().map(|(at, token)| (at + 1, text::clean(&token.text), token.share)).collect();
    order.sort_by(|one, other| rank::size(other.2).total_cmp(&rank::size(one.2)));
    order.truncate(most);
    order.into_iter()
}
