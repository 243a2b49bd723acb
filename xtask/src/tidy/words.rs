//! Rules about words: those that belong to one room, synonyms, and notes to do something later.
//!
//! After [`super::lex`]. It finds whole words in lines; it does not know what they mean.

use super::{
    Finding,
    lex::{self, is_word},
    rules::{RoomWord, Rules},
    tree::{Text, Tree},
};

/// Notes that nobody will read again, spelt so that this file does not hold them.
const LATER: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Every rule of this module.
pub fn check(tree: &Tree, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        findings.extend(room_words(file, rules));
        findings.extend(notes_for_later(file));
        findings.extend(synonyms(file, rules));
    }
    findings
}

fn room_words(file: &Text, rules: &Rules) -> Vec<Finding> {
    // xtask holds these words as data.
    if !file.path.ends_with(".rs") || file.path.starts_with("xtask/") {
        return Vec::new();
    }
    let code = lex::split(&file.text).code;
    let mut findings = Vec::new();
    for room in rules.room_word.iter().filter(|room| applies(room, &file.path)) {
        for (word, line) in hits(&code, &room.words) {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("`{word}` does not belong in this room"),
                room.instead.clone(),
            ));
        }
    }
    findings
}

/// Is the word out of place in this file?
fn applies(room: &RoomWord, path: &str) -> bool {
    let inside = |folders: &[String]| folders.iter().any(|folder| path.starts_with(folder));
    inside(&room.not_in) || room.only_in.as_ref().is_some_and(|only| !inside(only))
}

fn notes_for_later(file: &Text) -> Vec<Finding> {
    let later: Vec<String> = LATER.iter().map(|word| (*word).to_owned()).collect();
    hits(&prose(file), &later)
        .into_iter()
        .map(|(word, line)| {
            Finding::new(
                &file.path,
                line,
                format!("{word} in a text"),
                "do it now, or write a decision record in docs/decisions/",
            )
        })
        .collect()
}

fn synonyms(file: &Text, rules: &Rules) -> Vec<Finding> {
    let is_text = file.path.ends_with(".rs")
        || file.path == "README.md"
        || (file.path.starts_with("docs/") && file.path.ends_with(".md"));
    if !is_text || rules.words.except.contains(&file.path) {
        return Vec::new();
    }
    let text = prose(file).to_lowercase();
    let mut findings = Vec::new();
    for rule in &rules.word {
        for (word, line) in hits(&text, &rule.not) {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("`{word}` is not a word of this house"),
                format!("say {}", rule.say),
            ));
        }
    }
    findings
}

/// What a person wrote for a person: comments of sources, and Markdown without its code.
fn prose(file: &Text) -> String {
    if file.path.ends_with(".rs") {
        return lex::split(&file.text).comments;
    }
    if file.path.ends_with(".md") {
        return super::links::without_code(&file.text);
    }
    file.text.clone()
}

/// Where each of the words stands, whole, with its line from 1.
fn hits<'a>(text: &str, words: &'a [String]) -> Vec<(&'a str, usize)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in words {
            if has_word(line, word) {
                found.push((word.as_str(), number + 1));
            }
        }
    }
    found
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|left| left.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|right| right.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::rules::for_tests, *};

    fn said(path: &str, text: &str, rules: &str) -> Vec<String> {
        let found = check(&Tree::of(&[(path, text)]), &for_tests(rules));
        found.iter().map(ToString::to_string).collect()
    }

    const STATUS: &str = "[[room_word]]\nwords = ['StatusCode']\nonly_in = ['server/http_api/']\n\
                          instead = 'pick an ErrorCode'\n";
    const FILES: &str = "[[room_word]]\nwords = ['std::fs']\nnot_in = ['server/domain/']\ninstead = 'no I/O'\n";
    const PLUGIN: &str = "[words]\nexcept = ['docs/GLOSSARY.md']\n[[word]]\nnot = ['plug-in']\nsay = 'plugin'\n";

    #[test]
    fn a_word_stays_in_its_room() {
        let code = "//! Map.\nuse actix_web::http::StatusCode;\n";
        assert_eq!(
            said("server/serving/src/a.rs", code, STATUS),
            ["server/serving/src/a.rs:2: `StatusCode` does not belong in this room; \
              pick an ErrorCode"]
        );
        assert_eq!(said("server/http_api/src/a.rs", code, STATUS), [""; 0]);
        let harmless = "//! StatusCode\nlet a = \"StatusCode\"; struct MyStatusCodes;\n";
        assert_eq!(said("server/serving/src/a.rs", harmless, STATUS), [""; 0]);
    }

    #[test]
    fn a_room_may_refuse_a_word() {
        let code = "//! Map.\nuse std::fs;\n";
        assert_eq!(said("server/domain/src/a.rs", code, FILES).len(), 1);
        assert_eq!(said("server/ledger/src/a.rs", code, FILES), [""; 0]);
    }

    #[test]
    fn notes_for_later_are_found_where_people_write_them() {
        let note = format!("// {}: later\n", LATER[0]);
        assert!(said("sdk/a.rs", &note, "")[0].contains("write a decision record"));
        let string = format!("let a = \"{}\";\n", LATER[1]);
        assert_eq!(said("sdk/a.rs", &string, ""), [""; 0]);
        assert_eq!(said("tests/a.py", &format!("# {}\n", LATER[1]), "").len(), 1);
        assert_eq!(said("docs/a.md", &format!("no `{}`\n", LATER[0]), ""), [""; 0]);
        assert_eq!(said("docs/a.md", &format!("{}: x\n", LATER[0]), "").len(), 1);
    }

    #[test]
    fn synonyms_are_found_in_prose_only() {
        let comment = "//! Map.\n// A Plug-in, loaded.\n";
        assert_eq!(
            said("sdk/a.rs", comment, PLUGIN),
            ["sdk/a.rs:2: `plug-in` is not a word of this house; say plugin"]
        );
        assert_eq!(said("docs/a.md", "the plug-in\n", PLUGIN).len(), 1);
        assert_eq!(said("docs/GLOSSARY.md", "not plug-in\n", PLUGIN), [""; 0]);
        assert_eq!(said("docs/a.md", "`plug-in` and plug-inner\n", PLUGIN), [""; 0]);
    }
}
