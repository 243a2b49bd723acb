//! Text from outside made fit for a picture: cleaned of what deceives, measured, clipped and wrapped.
//!
//! Before [`crate::markup`], which escapes. Widths are those of a wide font (DejaVu Sans), so that what fits here fits
//! in the reader's. It does not know where a text will stand.

/// Longer names are cut in their middle before anything else looks at them.
pub(crate) const CHARS_MAX: usize = 240;
const ELLIPSIS: char = '…';
/// Bold letters are wider; letter by letter at most so much.
const BOLD: f64 = 1.2;
/// Widths of the printable ASCII characters in thousandths of the font size.
const ASCII: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863,
    748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635,
    615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636,
    337, 636, 838,
];

/// A name or value from outside, on one line, with nothing in it that hides or reorders, and not endless.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len().min(4 * CHARS_MAX));
    let length = text.chars().count();
    let head = CHARS_MAX * 2 / 3;
    let tail = CHARS_MAX - head - 1;
    for (at, char) in text.chars().enumerate() {
        if length > CHARS_MAX && at >= head && at < length - tail {
            if at == head {
                cleaned.push(ELLIPSIS);
            }
            continue;
        }
        cleaned.push(match char {
            '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
            '\u{2068}' | '\u{2069}' => char::REPLACEMENT_CHARACTER,
            other => harmless(other),
        });
    }
    let cleaned = cleaned.trim();
    if cleaned.is_empty() { "(empty)".to_owned() } else { cleaned.to_owned() }
}

/// The character, or a sign that one was taken out: controls, marks that reorder text, invisible characters, and
/// what XML forbids.
pub(crate) const fn harmless(char: char) -> char {
    match char {
        '\u{0}'..='\u{8}'
        | '\u{b}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2067}'
        | '\u{206a}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{fffe}'..='\u{ffff}'
        | '\u{e0000}'..='\u{e007f}' => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

/// Keeps a text that runs from right to left from reordering what stands beside it.
pub(crate) fn isolated(text: &str) -> String {
    if text.chars().any(is_right_to_left) { format!("\u{2068}{text}\u{2069}") } else { text.to_owned() }
}

const fn is_right_to_left(char: char) -> bool {
    matches!(char, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}'
        | '\u{1e800}'..='\u{1efff}')
}

/// How wide a text may become, in pixels.
pub(crate) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let ems: f64 = text.chars().map(advance).sum();
    ems * size * if bold { BOLD } else { 1.0 }
}

fn advance(char: char) -> f64 {
    let code = u32::from(char);
    if let Some(thousandths) = code.checked_sub(32).and_then(|at| ASCII.get(usize::try_from(at).ok()?)) {
        return f64::from(*thousandths) / 1000.0;
    }
    match char {
        // Marks upon a letter, and the isolating marks.
        '\u{300}'..='\u{36f}' | '\u{2066}'..='\u{2069}' => 0.0,
        '⁰'..='⁹' | '¹' | '²' | '³' | '⁻' | '’' | '·' => 0.54,
        '\u{e0}'..='\u{ff}' | '“' | '”' | '–' | '◂' | '▸' => 0.66,
        '−' | '×' | '±' | '≈' | '≤' | '←' | '→' => 0.84,
        '\u{1f000}'..='\u{1faff}' => 1.4,
        _ => 1.1,
    }
}

/// The text if it fits, or its beginning and end around an ellipsis.
pub(crate) fn clip(text: &str, room: f64, size: f64, bold: bool) -> String {
    if width(text, size, bold) <= room {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let mut kept = chars.len();
    // A binary search would save little: names are at most CHARS_MAX long.
    while kept > 1 {
        kept -= 1;
        let head = kept.div_ceil(2);
        let clipped: String = chars
            .iter()
            .take(head)
            .chain(std::iter::once(&ELLIPSIS))
            .chain(chars.iter().skip(chars.len() - (kept - head)).skip_while(|char| advance(**char) == 0.0))
            .collect();
        if width(&clipped, size, bold) <= room {
            return clipped;
        }
    }
    ELLIPSIS.to_string()
}

/// Lines of at most `room` pixels, at most so many; the last tells by an ellipsis that there was more.
pub(crate) fn wrap(text: &str, room: f64, size: f64, bold: bool, lines_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if width(&longer, size, bold) <= room {
            line = longer;
            continue;
        }
        if lines.len() + 1 >= lines_max {
            let rest: Vec<&str> = words.collect();
            let all = [longer.as_str()].into_iter().chain(rest).collect::<Vec<_>>().join(" ");
            line = clip_end(&all, room, size, bold);
            break;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        line = clip(word, room, size, bold);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The beginning of a text with an ellipsis behind it.
fn clip_end(text: &str, room: f64, size: f64, bold: bool) -> String {
    let mut clipped = String::new();
    let mut used = width("…", size, bold);
    for char in text.chars() {
        used += width(char.encode_utf8(&mut [0; 4]), size, bold);
        if used > room {
            break;
        }
        clipped.push(char);
    }
    format!("{}{ELLIPSIS}", clipped.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_reorders_is_shown_as_taken_out() {
        assert_eq!(clean("a\u{202e}b\u{0}c\u{200b}\nd"), "a\u{fffd}b\u{fffd}c\u{fffd} d");
        assert_eq!(clean(" \t "), "(empty)");
        assert_eq!(clean("\u{2068}x"), "\u{fffd}x");
        // What Persian and emoji need stays.
        assert_eq!(clean("می\u{200c}خواهم"), "می\u{200c}خواهم");
        assert_eq!(isolated("גיל"), "\u{2068}גיל\u{2069}");
        assert_eq!(isolated("age"), "age");
    }

    #[test]
    fn long_names_keep_both_ends() {
        let long = format!("start{}end", "x".repeat(10_000));
        let cleaned = clean(&long);
        assert_eq!(cleaned.chars().count(), CHARS_MAX);
        assert!(cleaned.starts_with("start") && cleaned.ends_with("end") && cleaned.contains('…'));
        let clipped = clip(&cleaned, 100.0, 13.0, false);
        assert!(width(&clipped, 13.0, false) <= 100.0 && clipped.starts_with("star") && clipped.ends_with("end"));
        assert_eq!(clip("short", 100.0, 13.0, false), "short");
        assert_eq!(clip("anything", 1.0, 13.0, false), "…");
    }

    #[test]
    fn lines_fit_and_the_last_says_that_there_was_more() {
        let lines = wrap("one two three four five six", 60.0, 13.0, false, 2);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| width(line, 13.0, false) <= 60.0) && lines[1].ends_with('…'), "{lines:?}");
        assert_eq!(wrap("one two", 600.0, 13.0, false, 2), ["one two"]);
        let word = wrap(&"y".repeat(300), 60.0, 13.0, true, 3);
        assert!(word.iter().all(|line| width(line, 13.0, true) <= 60.0), "{word:?}");
    }
}
