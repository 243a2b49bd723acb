//! A list of things that were looked at, each with a mark: what `model check` and `doctor` print.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::screen::{self, BOLD, DIM, GREEN, RED, YELLOW, styled};

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    /// Works, and could be better.
    Warn,
    Fail,
}

impl Mark {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Ok => styled(GREEN, "✓"),
            Self::Warn => styled(YELLOW, "!"),
            Self::Fail => styled(RED, "✗"),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) mark: Mark,
    pub(super) text: String,
    pub(super) fix: Option<String>,
}

impl Check {
    pub(super) fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, mark: Mark::Ok, text: text.into(), fix: None }
    }

    pub(super) fn warn(what: &'static str, text: impl Into<String>) -> Self {
        Self { mark: Mark::Warn, ..Self::ok(what, text) }
    }

    pub(super) fn fail(what: &'static str, text: impl Into<String>) -> Self {
        Self { mark: Mark::Fail, ..Self::ok(what, text) }
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The same, as something that keeps nothing from working.
    pub(super) fn warning(self) -> Self {
        Self { mark: Mark::Warn, ..self }
    }

    /// The error's hint becomes the way to mend it.
    pub(super) fn from_error(what: &'static str, error: &candor_domain::Error) -> Self {
        let details = error.details();
        let mut text = details.at.map(|place| format!("{place}: ")).unwrap_or_default();
        text.push_str(details.what);
        for (word, value) in [("expected", details.expected), ("got", details.got)] {
            if let Some(value) = value {
                let _ = write!(text, "\n{word}: {value}");
            }
        }
        let fix = details.hint.map(|hint| hint.trim_start().to_owned());
        Self { fix, ..Self::fail(what, text) }
    }

    /// One check for the error and one for each of the others that it was found with.
    pub(super) fn all_of_error(what: &'static str, error: &candor_domain::Error) -> Vec<Self> {
        std::iter::once(error).chain(error.others()).map(|error| Self::from_error(what, error)).collect()
    }

    pub(super) fn line(&self, indent: usize) -> String {
        let deeper = indent + 2 + WORD_WIDTH + 1;
        let mut line = format!(
            "{:indent$}{} {:<WORD_WIDTH$} {}\n",
            "",
            self.mark.shown(),
            self.what,
            screen::indented(&screen::plain(&self.text), deeper)
        );
        if let Some(fix) = &self.fix {
            let _ = writeln!(
                line,
                "{:deeper$}{} {}",
                "",
                styled(DIM, "help:"),
                screen::indented(&screen::plain(fix), deeper + 6)
            );
        }
        line
    }

    pub(super) fn json(&self) -> Value {
        let mut value = json!({"check": self.what, "mark": self.mark.word(), "text": self.text});
        if let (Some(fix), Some(object)) = (&self.fix, value.as_object_mut()) {
            object.insert("help".to_owned(), json!(fix));
        }
        value
    }
}

/// Room for the name of a check.
const WORD_WIDTH: usize = 12;

pub(super) fn heading(text: &str) -> String {
    format!("{}\n", styled(BOLD, text))
}

pub(super) fn count<'a>(checks: impl IntoIterator<Item = &'a Check>, mark: Mark) -> usize {
    checks.into_iter().filter(|check| check.mark == mark).count()
}

/// `1 warning`, `3 warnings`.
pub(super) fn number(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
