//! Which method explains, and the component that knows it.
//!
//! Before it: a question. After it: an open component. `auto` asks the graph first, because what reads the graph is exact
//! and cheap; then it takes what is exact where that is affordable, and draws by chance otherwise.

use std::sync::Arc;

use candor_domain::{Component, Error, ErrorCode, Result, names::quoted};
use serde_json::{Map, Value};

use super::{
    Core, Method, MethodNote, Question, Role, Space, Subject,
    cost::{ANSWERS_BYTES_MAX, EVALUATIONS_MAX},
    method::Traits,
    players::Players,
};

/// Players up to whom every coalition is tried.
const EXACT_PLAYERS_MAX: usize = 12;

/// A method with the component that knows it.
pub(super) struct Chosen {
    pub(super) method: Method,
    reason: Option<String>,
    config: Map<String, Value>,
    pub(super) component: Arc<dyn Component>,
}

impl Chosen {
    pub(super) fn note(self, traits: Traits) -> MethodNote {
        MethodNote {
            component: self.method.component().to_owned(),
            origin: self.component.origin(),
            method: self.method,
            reason: self.reason,
            is_additive: traits.is_additive,
            is_sampled: traits.is_sampled,
            config: self.config,
        }
    }
}

impl Core {
    /// The method and its component. `auto` asks the graph first, and takes what is exact and cheap.
    pub(super) fn choose(&self, subject: &dyn Subject, question: &Question, players: &Players) -> Result<Chosen> {
        let open = |method: Method, reason: Option<String>| {
            let config = config(subject, question, &method)?;
            let component = self.explainers.get(&*self.components, subject, method.component(), &config)?;
            Ok::<_, Error>(Chosen { method, reason, config, component })
        };
        if question.method != Method::Auto {
            let method = &question.method;
            return open(method.clone(), None).map_err(|error| refused(error, method));
        }
        if !question.options.is_empty() {
            let error = Error::invalid("options belong to a method, and none is named").at("options");
            return Err(error.hint("name the method beside them"));
        }
        let mut against = Vec::new();
        match &subject.about().graph {
            None => against.push("its answers are not made by one graph alone".to_owned()),
            Some(_) => {
                for (method, what) in [(Method::Linear, "the graph is linear"), (Method::Tree, "the graph is of trees")]
                {
                    let is_other_space =
                        question.space.is_some_and(|space| space == Space::Probability && method == Method::Linear);
                    if is_other_space {
                        against.push("linear: shares of a probability are not linear".to_owned());
                        continue;
                    }
                    match open(method.clone(), Some(what.to_owned())) {
                        Ok(chosen) => return Ok(chosen),
                        Err(error) => against.push(format!("{}: {}", method.word(), said(&error))),
                    }
                }
            }
        }
        let few = players.len() <= EXACT_PLAYERS_MAX;
        let rest = if few {
            format!("{} features are few enough to try every coalition", players.len())
        } else {
            format!("{} features are too many to try every coalition", players.len())
        };
        let reason = format!("{rest} ({})", against.join("; "));
        let order: &[Method] = if few {
            &[Method::Exact, Method::Kernel, Method::Permutation]
        } else {
            &[Method::Kernel, Method::Permutation]
        };
        let mut last = None;
        for method in order {
            match open(method.clone(), Some(reason.clone())) {
                Ok(chosen) => return Ok(chosen),
                Err(error) => last = Some(refused(error, method)),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorCode::Unsupported, "no method explains this model")))
    }
}

/// Whether a margin stands before what is served.
pub(super) fn has_link(subject: &dyn Subject) -> bool {
    let outputs = &subject.about().outputs;
    outputs.iter().any(|output| matches!(output.role, Role::Probabilities | Role::Scores))
}

/// The configuration of a method's component: the caller's choices, and what is not theirs to choose.
fn config(subject: &dyn Subject, question: &Question, method: &Method) -> Result<Map<String, Value>> {
    let mut config = question.options.clone();
    if let Some(taken) = ["file", "space", "link"].iter().find(|key| config.contains_key(**key)) {
        let error = Error::invalid(format!("\"{taken}\" is no option of a caller")).at(format!("options/{taken}"));
        return Err(if *taken == "file" {
            error
        } else {
            error.hint("\"space\", beside the options, says on which scale shares add up")
        });
    }
    let traits = method.traits();
    if traits.reads_graph {
        let graph = subject.about().graph.as_deref().ok_or_else(|| {
            let what =
                "the answers of this version are not made by one graph alone, so that its graph does not explain";
            Error::new(ErrorCode::Unsupported, what).at("method")
        })?;
        config.insert("file".to_owned(), graph.into());
        // Without a link the answer itself has to be the sum.
        let space = if has_link(subject) { question.space.or(traits.space).map(Space::word) } else { Some("answer") };
        if let Some(space) = space {
            config.insert("space".to_owned(), space.into());
        }
    }
    Ok(config)
}

/// Why a component could not be opened, to who has asked for its method.
pub(super) fn refused(error: Error, method: &Method) -> Error {
    let traits: Traits = method.traits();
    if error.place() == Some("method") || error.place().is_some_and(|place| place.starts_with("options/")) {
        return error;
    }
    let prefix = format!("method {} cannot explain this version: ", quoted(method.word()));
    let at = if traits.reads_graph || error.code() == ErrorCode::NotFound { "method" } else { "options" };
    let code = match error.code() {
        // What is wrong with a graph is wrong for this method, not with the model.
        ErrorCode::InvalidModel | ErrorCode::NotFound | ErrorCode::Unsupported => ErrorCode::InvalidInput,
        other @ (ErrorCode::InvalidInput
        | ErrorCode::TooLarge
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::BodyTimeout
        | ErrorCode::MethodNotAllowed
        | ErrorCode::NotAcceptable
        | ErrorCode::Unauthenticated
        | ErrorCode::Forbidden
        | ErrorCode::QuotaExceeded
        | ErrorCode::Overloaded
        | ErrorCode::NotReady
        | ErrorCode::BreakerOpen
        | ErrorCode::DeadlineExceeded
        | ErrorCode::Cancelled
        | ErrorCode::EngineFailed
        | ErrorCode::Internal) => other,
    };
    error.with_code(code).with_prefix(&prefix).at(at)
}

/// What a component said when it refused to be made, without how the host puts it.
fn said(error: &Error) -> &str {
    error.what().trim_start_matches("`create` failed: ")
}

/// Says which explainer an error is of.
pub(super) fn blame(error: Error, chosen: &Chosen) -> Error {
    let prefix = format!("{}: ", chosen.method.component());
    let known = matches!(error.place(), Some(EVALUATIONS_MAX | ANSWERS_BYTES_MAX | "explanations.time_ms_max"));
    let error = error.with_prefix(&prefix);
    if known { error } else { error.at("method") }
}
