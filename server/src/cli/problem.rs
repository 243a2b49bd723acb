//! Errors as people read them: what, where, expected, got, help; and the exit code that goes with them.

use std::{fmt::Write as _, process::ExitCode};

use candor_domain::Error;
use serde_json::Value;

use super::screen::{self, BLUE, DIM, GREEN, RED, YELLOW, styled};

/// Something went wrong; the arguments were right.
pub(super) const FAILED: u8 = 1;
/// Wrong arguments or configuration.
pub(super) const MISUSED: u8 = 2;

/// What a subcommand ends with.
pub(super) type Done = Result<ExitCode, Failure>;

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug, Default)]
struct Parts {
    /// A word for it, such as `invalid_input`.
    code: Option<String>,
    what: String,
    place: Option<String>,
    expected: Option<String>,
    got: Option<String>,
    cause: Option<String>,
    help: Option<String>,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(Box::new(Parts { what: what.into(), ..Parts::default() }))
    }

    pub(super) fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place = Some(place.into());
        self
    }

    pub(super) fn cause(mut self, cause: impl ToString) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Whether it has this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.0.code.as_deref() == Some(code)
    }

    #[cfg(test)]
    pub(super) fn what(&self) -> &str {
        &self.0.what
    }

    /// All problems of an RFC 9457 answer: its `errors`, or else itself.
    pub(super) fn of_answer(answer: &Value) -> Vec<Self> {
        let text = |from: &Value, key: &str| from.get(key).and_then(Value::as_str).map(str::to_owned);
        let code = text(answer, "code");
        let one = |entry: &Value| {
            let (expected, got) = (text(entry, "expected"), text(entry, "got"));
            let what = text(entry, "detail").or_else(|| text(entry, "title")).unwrap_or_else(|| "it failed".to_owned());
            // The detail of an answer says again what has a line of its own here.
            let again = match (&expected, &got) {
                (Some(expected), Some(got)) => format!("; expected {expected}, got {got}"),
                (Some(expected), None) => format!("; expected {expected}"),
                (None, Some(got)) => format!("; got {got}"),
                (None, None) => String::new(),
            };
            Self(Box::new(Parts {
                code: text(entry, "code").or_else(|| code.clone()),
                what: what.strip_suffix(&again).unwrap_or(&what).to_owned(),
                place: text(entry, "pointer").or_else(|| text(entry, "at")),
                expected,
                got,
                cause: None,
                help: text(entry, "hint"),
            }))
        };
        match answer.get("errors").and_then(Value::as_array).filter(|errors| !errors.is_empty()) {
            Some(errors) => errors.iter().map(one).collect(),
            None => vec![one(answer)],
        }
    }

    fn text(&self) -> String {
        let parts = &*self.0;
        let code = parts.code.as_ref().map(|code| format!("[{code}]")).unwrap_or_default();
        let mut text =
            format!("{}: {}\n", styled(RED, format!("error{code}")), screen::indented(&screen::plain(&parts.what), 2));
        let mut line = |word: String, value: &Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(text, "  {word} {}", screen::indented(screen::plain(value).trim_start(), 4));
            }
        };
        line(styled(BLUE, "-->"), &parts.place);
        line(styled(DIM, "expected:"), &parts.expected);
        line(styled(DIM, "     got:"), &parts.got);
        line(styled(DIM, "because:"), &parts.cause);
        line(styled(GREEN, "help:"), &parts.help);
        text
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let details = error.details();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self(Box::new(Parts {
            code: None,
            what: details.what.to_owned(),
            place: owned(details.at),
            expected: owned(details.expected),
            got: owned(details.got),
            cause: None,
            help: owned(details.hint),
        }))
    }
}

/// Why a subcommand ends without having done what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    problems: Vec<Problem>,
    exit: u8,
}

impl Failure {
    pub(super) fn failed(problems: Vec<Problem>) -> Self {
        Self { problems, exit: FAILED }
    }

    pub(super) fn misused(problem: Problem) -> Self {
        Self { problems: vec![problem], exit: MISUSED }
    }

    /// The same with the exit code of wrong arguments.
    pub(super) fn of_arguments(error: Error) -> Self {
        Self { exit: MISUSED, ..Self::from(error) }
    }

    /// Prints it; gives its exit code.
    pub(super) fn report(&self) -> ExitCode {
        let texts: Vec<String> = self.problems.iter().map(Problem::text).collect();
        screen::print_error(&texts.join("\n"));
        if self.problems.len() > 1 {
            screen::print_error(&format!("\n{}: {} problems\n", styled(RED, "error"), self.problems.len()));
        }
        ExitCode::from(self.exit)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::failed(vec![problem])
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::failed(std::iter::once(&error).chain(error.others()).map(Problem::from).collect())
    }
}

/// Something worth saying that is not wrong.
pub(super) fn warn(text: &str) {
    screen::print_error(&format!("{}: {text}\n", styled(YELLOW, "warning")));
}
