//! Rust source in two views of the same lines: code without comments and literals, and comments alone.
//!
//! Before the rules that look for words or braces, so that a brace in a string is not a brace. It
//! knows literals and comments, and nothing else of the language.

/// The two views. Both have as many lines as the source.
#[derive(Debug)]
pub struct Views {
    pub code: String,
    pub comments: String,
}

/// Splits a source.
pub fn split(source: &str) -> Views {
    let mut scan = Scan {
        chars: source.chars().collect(),
        at: 0,
        code: String::with_capacity(source.len()),
        comments: String::new(),
    };
    while scan.at < scan.chars.len() {
        scan.step();
    }
    Views { code: scan.code, comments: scan.comments }
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Code,
    Comment,
    Literal,
}

struct Scan {
    chars: Vec<char>,
    at: usize,
    code: String,
    comments: String,
}

impl Scan {
    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.line_comment(),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('r', '"' | '#') => self.raw_string(),
            ('\'', _) => self.quote(),
            _ => self.take(Place::Code),
        }
    }

    /// The character some places ahead; NUL after the end.
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn before(&self, back: usize) -> char {
        let at = self.at.checked_sub(back);
        at.and_then(|at| self.chars.get(at)).copied().unwrap_or(' ')
    }

    /// Moves one character into the view where it belongs; line ends go into both.
    fn take(&mut self, place: Place) {
        let Some(&char) = self.chars.get(self.at) else {
            return;
        };
        self.at += 1;
        let shown = |here: bool| if here || char == '\n' { char } else { ' ' };
        self.code.push(shown(place == Place::Code));
        self.comments.push(shown(place == Place::Comment));
    }

    fn take_many(&mut self, count: usize, place: Place) {
        for _ in 0..count {
            self.take(place);
        }
    }

    fn line_comment(&mut self) {
        while self.at < self.chars.len() && self.peek(0) != '\n' {
            self.take(Place::Comment);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.take(Place::Comment);
                    continue;
                }
            }
            self.take_many(2, Place::Comment);
            if depth == 0 {
                return;
            }
        }
    }

    /// From the opening to the closing quote, both included.
    fn string(&mut self) {
        self.take(Place::Literal);
        while self.at < self.chars.len() {
            match self.peek(0) {
                '\\' => self.take_many(2, Place::Literal),
                '"' => return self.take(Place::Literal),
                _ => self.take(Place::Literal),
            }
        }
    }

    /// `r"…"`, `r#"…"#` and their byte and C forms; `r#name` and words ending in r are code.
    fn raw_string(&mut self) {
        let hashes = (1..).take_while(|ahead| self.peek(*ahead) == '#').count();
        let starts_word = !is_word(self.before(1)) || (matches!(self.before(1), 'b' | 'c') && !is_word(self.before(2)));
        if !starts_word || self.peek(hashes + 1) != '"' {
            return self.take(Place::Code);
        }
        self.take_many(hashes + 2, Place::Literal);
        while self.at < self.chars.len() {
            let closes = self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#');
            if closes {
                return self.take_many(hashes + 1, Place::Literal);
            }
            self.take(Place::Literal);
        }
    }

    /// A character literal, or a lifetime, which is code.
    fn quote(&mut self) {
        if self.peek(1) == '\\' {
            self.take_many(3, Place::Literal);
            while self.at < self.chars.len() && self.peek(0) != '\'' {
                self.take(Place::Literal);
            }
            self.take(Place::Literal);
        } else if self.peek(2) == '\'' {
            self.take_many(3, Place::Literal);
        } else {
            self.take(Place::Code);
        }
    }
}

/// May this character stand in a name?
pub fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use super::split;

    fn code(source: &str) -> String {
        split(source).code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn literals_and_comments_are_not_code() {
        assert_eq!(code("a(\"{\\\"{\") // {"), "a( )");
        assert_eq!(code("a /* { /* { */ } */ b"), "a b");
        assert_eq!(code("a('{', '\\'', '\\u{1F}', b'{')"), "a( , , , b )");
        assert_eq!(code("x(r\"{\", r#\"{\"{\"#, br##\"\"#{\"##)"), "x( , , b )");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(code("r#type + var#x"), "r#type + var#x");
        assert_eq!(code("'outer: loop {}"), "'outer: loop {}");
    }

    #[test]
    fn comments_are_seen_alone_and_lines_stay() {
        let views = split("let a = \"// no\"; // yes\n/* also\nthis */ b");
        let comments: Vec<&str> = views.comments.lines().map(str::trim).collect();
        assert_eq!(comments, ["// yes", "/* also", "this */"]);
        assert_eq!(views.code.lines().count(), 3);
        assert_eq!(views.code.lines().nth(2).unwrap().trim(), "b");
    }

    #[test]
    fn an_unclosed_literal_ends_with_the_file() {
        assert_eq!(code("a \"unclosed"), "a");
        assert_eq!(code("a /* unclosed"), "a");
        assert_eq!(code("a r#\"unclosed\""), "a");
    }
}
