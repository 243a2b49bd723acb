//! One explanation, from question to answer.
//!
//! Features become numbers, the version answers the rows (unless that was done), the method is chosen and its component
//! opened, the component is asked, and what it says is taken apart and checked.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use candor_domain::{Component, ComponentCall, Error, ErrorCode, Result, Shape, Tensor, TensorData, names::quoted};
use serde_json::{Map, Value};

use super::{
    BackgroundNote, Core, Explanation, Method, MethodNote, Question, Rows, Subject, Turn,
    background::Stored,
    layout::{Layout, Matrix, Words, rows_of},
    lend::Lent,
    method::Traits,
    players::Players,
    target::{Space, Target},
    told::Told,
    values,
};

/// Players up to whom every coalition is tried.
const EXACT_PLAYERS_MAX: usize = 12;

/// A method with the component that knows it.
struct Chosen {
    method: Method,
    reason: Option<String>,
    config: Map<String, Value>,
    component: Arc<dyn Component>,
}

impl Chosen {
    fn note(self, traits: Traits) -> MethodNote {
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

/// The rows that stand for "absent", as numbers.
struct Absent {
    rows: Matrix,
    weights: Option<Vec<f64>>,
    note: BackgroundNote,
}

impl Core {
    /// Explains rows on this thread.
    pub(super) fn explain(
        &self,
        subject: &dyn Subject,
        question: &Question,
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Explanation> {
        turn.check()?;
        let about = subject.about();
        self.check(question, rows_of(&rows.inputs))?;
        let layout = Layout::of(about, &rows.inputs, self.settings.features_max)?;
        let players = Players::new(about, &layout, &question.groups)?;
        let stored = self.background(subject, question)?;
        let mut words = Words::default();
        let categories = about.features.iter().flat_map(|feature| &feature.categories);
        categories.for_each(|text| {
            words.code(text.as_bytes());
        });
        let absent = stored.map(|stored| self.absent(&stored, question, &layout, &mut words)).transpose()?;
        let x = layout.encode(&rows.inputs, &mut words)?;
        let outputs = match rows.outputs {
            Some(outputs) => outputs,
            None => subject.run(rows.inputs.clone(), &(0..about.outputs.len()).collect::<Vec<_>>(), turn)?,
        };
        let chosen = self.choose(subject, question, &players)?;
        let traits = chosen.method.traits();
        let space = question.space.or(traits.space.filter(|_| has_link(subject)));
        let target = Target::choose(about, (&question.outputs, space), (&outputs, x.rows), traits.reads_graph)?;
        let lent = Lent {
            subject,
            layout: &layout,
            words: &words,
            target: &target,
            turn,
            batch_rows_max: self.settings.batch_rows_max,
            evaluations_max: self.settings.evaluations_max,
            evaluations: AtomicU64::new(0),
        };
        let asked = Asked { traits, question, players: &players, target: &target, x: &x, absent: absent.as_ref() };
        let inputs = asked.inputs(&layout, &words)?;
        let named: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let call = ComponentCall { cancel: Some(turn.cancel), deadline: Some(turn.deadline), models: Some(&lent) };
        let answer = chosen.component.run(&named, &call);
        turn.check()?;
        let answer = answer.map_err(|error| blame(error, &chosen))?;
        let served = outputs.get(target.output).map(|tensor| target.served(tensor, x.rows)).transpose()?;
        let values = values::of(about, &layout, &players, &rows.inputs, x.rows);
        let evaluations = lent.evaluations.load(Relaxed);
        let told = Told::read(answer, (&target, &players), (x.rows, x.columns))?;
        let names = told.names(&target);
        let rows = told.rows(&target, &served.unwrap_or_default(), values);
        Ok(Explanation {
            model: about.model.clone(),
            version: about.version.clone(),
            sha256: about.sha256.clone(),
            engine: about.engine.clone(),
            space: target.space,
            outputs: names,
            features: players.names,
            background: absent.map(|absent| absent.note),
            budget: question.budget,
            seed: question.seed,
            rows,
            evaluations,
            method: chosen.note(traits),
        })
    }

    /// What no version allows.
    fn check(&self, question: &Question, rows: usize) -> Result<()> {
        if rows == 0 {
            return Err(Error::invalid("there is nothing to explain").at("rows").expected("at least one row"));
        }
        if rows > self.settings.rows_max {
            return Err(Error::new(ErrorCode::TooLarge, "the request has more rows than are explained at once")
                .at("rows")
                .expected(format!("at most {} rows (explanations.rows_max)", self.settings.rows_max))
                .got(format!("{rows} rows"))
                .hint("split the request, or ask for a job"));
        }
        match question.budget {
            Some(budget) if budget == 0 || budget > self.settings.budget_max => {
                let error = Error::invalid("there is no such budget").at("budget").got(budget.to_string());
                Err(error.expected(format!("1 to {} (explanations.budget_max)", self.settings.budget_max)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The background that a question wants; nothing where its method can do without and none is named.
    fn background(&self, subject: &dyn Subject, question: &Question) -> Result<Option<Arc<Stored>>> {
        match self.backgrounds.get(subject, &question.background) {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if question.background.id.is_some() || question.method.traits().needs_background => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn absent(&self, stored: &Stored, question: &Question, layout: &Layout, words: &mut Words) -> Result<Absent> {
        let rows = layout.encode(&stored.inputs, words).map_err(|error| {
            error.at("background").with_prefix("this background does not fit the rows to explain: ")
        })?;
        let view = &stored.view;
        let note = BackgroundNote {
            id: view.id.clone(),
            sha256: view.sha256.clone(),
            source: view.source,
            rows: view.rows,
            summary: question.background.summary,
        };
        Ok(match question.background.summary {
            None => Absent { rows, weights: None, note },
            Some(k) => {
                let summary = stored.summary(k, &rows, !layout.textual().is_empty())?;
                Absent { rows: summary.centres.clone(), weights: Some(summary.weights.clone()), note }
            }
        })
    }

    /// The method and its component. `auto` asks the graph first, and takes what is exact and cheap.
    fn choose(&self, subject: &dyn Subject, question: &Question, players: &Players) -> Result<Chosen> {
        let open = |method: Method, reason: Option<String>| {
            let config = config(subject, question, &method)?;
            let component = self.explainers.get(&*self.components, subject, method.component(), &config)?;
            Ok::<_, Error>(Chosen { method, reason, config, component })
        };
        if question.method != Method::Auto {
            let method = &question.method;
            return open(method.clone(), None).map_err(|error| refused(error, method));
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
                        Err(error) => against.push(format!("{}: {}", method.word(), error.what())),
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
fn has_link(subject: &dyn Subject) -> bool {
    let outputs = &subject.about().outputs;
    outputs.iter().any(|output| matches!(output.role, super::Role::Probabilities | super::Role::Scores))
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
        if let Some(space) = question.space.or(traits.space) {
            config.insert("space".to_owned(), space.word().into());
        }
    }
    Ok(config)
}

/// Why a component could not be opened, to who has asked for its method.
fn refused(error: Error, method: &Method) -> Error {
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

/// Says which explainer an error is of.
fn blame(error: Error, chosen: &Chosen) -> Error {
    let prefix = format!("{}: ", chosen.method.component());
    let known = matches!(error.place(), Some("explanations.evaluations_max" | "explanations.time_ms_max"));
    let error = error.with_prefix(&prefix);
    if known { error } else { error.at("method") }
}

/// What a component is asked.
struct Asked<'a> {
    traits: Traits,
    question: &'a Question,
    players: &'a Players,
    target: &'a Target,
    x: &'a Matrix,
    absent: Option<&'a Absent>,
}

fn tensor(dims: &[usize], data: TensorData) -> Result<Tensor> {
    let dims: Vec<i64> = dims.iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect();
    Tensor::new(Shape::new(&dims)?, data)
}

impl Asked<'_> {
    /// The component's inputs, as the contract of explainers names them.
    fn inputs(&self, layout: &Layout, words: &Words) -> Result<Vec<(&'static str, Tensor)>> {
        let matrix = |matrix: &Matrix| tensor(&[matrix.rows, matrix.columns], TensorData::Fp64(matrix.data.clone()));
        let whole = |values: Vec<i64>| tensor(&[values.len()], TensorData::Int64(values));
        let mut inputs = vec![("x", matrix(self.x)?)];
        if let Some(absent) = self.absent {
            inputs.push(("background", matrix(&absent.rows)?));
            if let Some(weights) = &absent.weights {
                inputs.push(("weights", tensor(&[weights.len()], TensorData::Fp64(weights.clone()))?));
            }
        }
        if self.players.is_grouped() {
            inputs.push(("groups", whole(self.players.of_column.clone())?));
        }
        let elements = &self.target.elements;
        // The model that is lent answers only those that are explained; a graph has to be told.
        if self.traits.reads_graph && elements.len() != self.target.all {
            inputs.push(("outputs", whole(elements.iter().filter_map(|at| i64::try_from(*at).ok()).collect())?));
        }
        if let Some(budget) = self.question.budget {
            inputs.push(("budget", whole(vec![i64::try_from(budget).unwrap_or(i64::MAX)])?));
        }
        inputs.push(("seed", whole(vec![self.question.seed.cast_signed()])?));
        let textual = layout.textual();
        if !textual.is_empty() {
            inputs.push(("words", tensor(&[words.texts.len()], TensorData::Bytes(words.texts.iter().collect()))?));
            inputs.push(("textual", whole(textual)?));
        }
        if self.question.interactions {
            inputs.push(("interactions", whole(vec![1])?));
        }
        Ok(inputs)
    }
}
