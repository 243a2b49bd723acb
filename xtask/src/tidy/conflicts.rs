//! Markers that a merge leaves behind: no text may have them.
//!
//! After [`super::tree`]. Looks at the beginnings of lines; does not know what a line means.

use super::{Finding, tree::Tree};

/// Every rule of this module. A line of `=` is none: it also underlines a heading, and never stands alone in a conflict.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let found = |path: &str, text: &str| -> Vec<Finding> {
        let marked = text.lines().enumerate().filter(|(_, line)| is_marker(line));
        let finding = |(number, line): (usize, &str)| {
            let marker: String = line.chars().take(MARKER).collect();
            Finding::new(path, number + 1, format!("a merge left `{marker}` here"), "end the merge")
        };
        marked.map(finding).collect()
    };
    tree.files().iter().flat_map(|file| found(&file.path, &file.text)).collect()
}

/// Length of a marker.
const MARKER: usize = 7;

fn is_marker(line: &str) -> bool {
    ['<', '>', '|'].into_iter().any(|sign| {
        let signs = line.chars().take_while(|found| *found == sign).count();
        // Git writes a blank and a name behind each of them.
        signs == MARKER && line.chars().nth(MARKER) == Some(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        check(&Tree::of(&[("a.md", text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_merge_left_is_found_by_line() {
        let marks = |sign: char| sign.to_string().repeat(MARKER);
        let (ours, base, theirs) = (marks('<'), marks('|'), marks('>'));
        let text = format!("a\n{ours} HEAD\nb\n{base} base\nc\n=======\nd\n{theirs} other\n");
        assert_eq!(
            said(&text),
            [
                format!("a.md:2: a merge left `{ours}` here; end the merge"),
                format!("a.md:4: a merge left `{base}` here; end the merge"),
                format!("a.md:8: a merge left `{theirs}` here; end the merge"),
            ]
        );
    }

    #[test]
    fn headings_tables_quotes_and_shifts_are_none() {
        for text in ["Title\n=======\n", "| a | b |\n", ">>> quoted\n", "a <<<<<<< b\n", "||||||||| x\n", "<<<<<<<\n"] {
            assert!(said(text).is_empty(), "{text}");
        }
    }
}
