//! The functions of a source and how many lines each has, found by its braces.
//!
//! After [`super::lex`], before [`super::sizes`]. A scan, not a parser: it sees `fn name`, and counts
//! braces. It does not know modules, types or limits.

use super::lex::is_word;

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// The line of `fn`, from 1.
    pub line: usize,
    /// From `fn` to the closing brace, both lines included.
    pub lines: usize,
}

/// Finds the functions in a code view.
pub fn find(code: &str) -> Vec<Function> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    for (at, char) in chars.iter().enumerate() {
        if *char == '\n' {
            line += 1;
        }
        let rest = chars.get(at..).unwrap_or_default();
        let previous = at.checked_sub(1).and_then(|before| chars.get(before));
        if previous.is_some_and(|previous| is_word(*previous)) {
            continue;
        }
        if let Some(name) = name_after_fn(rest)
            && let Some(length) = body_end(rest)
        {
            let ends = rest.iter().take(length).filter(|char| **char == '\n').count();
            found.push(Function { name, line, lines: ends + 1 });
        }
    }
    found
}

/// The name, if this is `fn name`; `fn(…)` is a type.
fn name_after_fn(rest: &[char]) -> Option<String> {
    let after = rest.strip_prefix(&['f', 'n'])?;
    let spaces = after.iter().take_while(|char| char.is_whitespace()).count();
    let name: String = after.iter().skip(spaces).take_while(|char| is_word(**char)).collect();
    (spaces > 0 && !name.is_empty()).then_some(name)
}

/// How many characters there are to the end of the body; none for a declaration without one.
fn body_end(rest: &[char]) -> Option<usize> {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for (at, char) in rest.iter().enumerate() {
        match char {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && brackets == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(code: &str) -> Vec<(String, usize, usize)> {
        find(code).into_iter().map(|found| (found.name, found.line, found.lines)).collect()
    }

    #[test]
    fn bodies_are_measured() {
        let code = "fn a() {}\n\npub async fn b(x: [u8; 2]) -> u8 {\n  if x {\n  }\n}\n";
        assert_eq!(names(code), [("a".into(), 1, 1), ("b".into(), 3, 4)]);
    }

    #[test]
    fn declarations_and_types_have_no_body() {
        assert_eq!(names("trait T {\n  fn a(&self);\n  fn b() {}\n}"), [("b".into(), 3, 1)]);
        assert_eq!(names("type F = fn(u8) -> u8; struct S { f: fn() }"), []);
        assert_eq!(names("let safn = 1; let fnord = {};"), []);
    }

    #[test]
    fn inner_functions_count_for_both() {
        let code = "fn outer() {\n  fn inner() {\n  }\n}";
        assert_eq!(names(code), [("outer".into(), 1, 4), ("inner".into(), 2, 2)]);
    }
}
