//! What is the same for every question about some rows: features as numbers, the rows that stand for "absent", what the
//! version answered; and asking a component about it.
//!
//! Before it: a subject, rows and a question. After it: the tensors that a component told, by name.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use candor_domain::{Component, ComponentCall, Error, ErrorCode, Result, Shape, Tensor, TensorData};

use super::{
    BackgroundNote, Core, Method, Question, Rows, Subject, Turn,
    background::Stored,
    layout::{Layout, Matrix, Words},
    lend::Lent,
    players::Players,
    target::Target,
};

/// A question about some rows, made ready.
pub(super) struct Scene<'a> {
    core: &'a Core,
    pub(super) subject: &'a dyn Subject,
    pub(super) question: &'a Question,
    pub(super) layout: Layout,
    pub(super) players: Players,
    pub(super) words: Words,
    pub(super) absent: Option<Absent>,
    pub(super) x: Matrix,
    /// The rows as they came.
    pub(super) inputs: Vec<Tensor>,
    /// What the version answered to them.
    pub(super) served: Vec<Tensor>,
}

/// The rows that stand for "absent", as numbers.
pub(super) struct Absent {
    pub(super) rows: Matrix,
    pub(super) weights: Option<Vec<f64>>,
    pub(super) note: BackgroundNote,
}

/// What a component told.
pub(super) struct Said {
    pub(super) tensors: Vec<(String, Tensor)>,
    /// Rows that the model evaluated for it.
    pub(super) evaluations: u64,
}

impl Core {
    /// Makes a question about rows ready.
    pub(super) fn scene<'a>(
        &'a self,
        subject: &'a dyn Subject,
        question: &'a Question,
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Scene<'a>> {
        turn.check()?;
        let about = subject.about();
        self.check_budget(question)?;
        // Whoever covers parts of an image does not look at each of its numbers.
        let by_part = question.method == Method::Occlusion;
        let columns_max = if by_part { PARTED_COLUMNS_MAX } else { self.settings.features_max };
        let layout = Layout::of(about, &rows.inputs, columns_max)?;
        let players = if by_part {
            Players::of(about, &layout, &question.groups, is_tokens(question))?
        } else {
            Players::new(about, &layout, &question.groups)?
        };
        let stored = match rows.background {
            Some(shared) => Some(shared.0),
            None if rows.alone || by_part => None,
            None => self.background(subject, question)?,
        };
        let mut words = Words::default();
        let categories = about.features.iter().flat_map(|feature| &feature.categories);
        categories.for_each(|text| {
            words.code(text.as_bytes());
        });
        let absent = stored.map(|stored| self.absent(&stored, question, &layout, &mut words)).transpose()?;
        let x = layout.encode(&rows.inputs, &mut words)?;
        let served = match rows.outputs {
            Some(outputs) => outputs,
            None => subject.run(rows.inputs.clone(), &(0..about.outputs.len()).collect::<Vec<_>>(), turn)?,
        };
        Ok(Scene { core: self, subject, question, layout, players, words, absent, x, inputs: rows.inputs, served })
    }

    /// As many rows as may be asked about at once, and at least one.
    pub(super) fn check_rows(&self, rows: usize) -> Result<()> {
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
        Ok(())
    }

    fn check_budget(&self, question: &Question) -> Result<()> {
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
}

impl Scene<'_> {
    /// Asks a component about the rows; `more` are inputs beside those that every component has.
    pub(super) fn ask(
        &self,
        component: &dyn Component,
        (target, reads_graph): (&Target, bool),
        more: Vec<(&'static str, Tensor)>,
        turn: &Turn<'_>,
    ) -> Result<Said> {
        let lent = Lent {
            subject: self.subject,
            layout: &self.layout,
            words: &self.words,
            target,
            turn,
            batch_rows_max: self.core.settings.batch_rows_max,
            evaluations_max: self.core.settings.evaluations_max,
            answers_bytes_max: self.core.settings.answers_bytes_max,
            evaluations: AtomicU64::new(0),
            said: Mutex::default(),
        };
        let mut inputs = self.inputs(target, reads_graph)?;
        inputs.extend(more);
        let named: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let call = ComponentCall { cancel: Some(turn.cancel), deadline: Some(turn.deadline), models: Some(&lent) };
        let told = component.run(&named, &call);
        turn.check()?;
        let evaluations = lent.evaluations.load(Relaxed);
        let own = lent.said.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What the model said goes before what the explainer makes of it.
        let tensors = told.map_err(|error| own.unwrap_or(error))?;
        Ok(Said { tensors, evaluations })
    }

    /// The inputs that every component has, as the contract of explainers names them.
    fn inputs(&self, target: &Target, reads_graph: bool) -> Result<Vec<(&'static str, Tensor)>> {
        let matrix = |matrix: &Matrix| floats(&[matrix.rows, matrix.columns], matrix.data.clone());
        let mut inputs = vec![("x", matrix(&self.x)?)];
        if let Some(absent) = &self.absent {
            inputs.push(("background", matrix(&absent.rows)?));
            if let Some(weights) = &absent.weights {
                inputs.push(("weights", floats(&[weights.len()], weights.clone())?));
            }
        }
        let is_image = self.question.method == Method::Occlusion && !is_tokens(self.question);
        if is_image {
            let feature = self.subject.about().features.first();
            let dims = feature.map(|feature| self.layout.dims_of(feature).to_vec()).unwrap_or_default();
            inputs.push(("shape", whole(dims)?));
        } else if self.players.is_grouped() {
            inputs.push(("groups", whole(self.players.of_column.clone())?));
        }
        let elements = &target.elements;
        // The model that is lent answers only those that are explained; a graph has to be told.
        if reads_graph && elements.len() != target.all {
            inputs.push(("outputs", whole(elements.iter().filter_map(|at| i64::try_from(*at).ok()).collect())?));
        }
        if let Some(budget) = self.question.budget {
            inputs.push(("budget", whole(vec![i64::try_from(budget).unwrap_or(i64::MAX)])?));
        }
        inputs.push(("seed", whole(vec![self.question.seed.cast_signed()])?));
        let textual = self.layout.textual();
        if !textual.is_empty() {
            let words = &self.words.texts;
            inputs.push(("words", tensor(&[words.len()], TensorData::Bytes(words.iter().collect()))?));
            inputs.push(("textual", whole(textual)?));
        }
        if self.question.interactions {
            inputs.push(("interactions", whole(vec![1])?));
        }
        Ok(inputs)
    }

    /// All numbers of the output that is explained, as they are served.
    pub(super) fn served(&self, target: &Target) -> Result<Vec<f64>> {
        let served = self.served.get(target.output).map(|tensor| target.served(tensor, self.x.rows)).transpose()?;
        Ok(served.unwrap_or_default())
    }
}

/// Numbers of a row of which only parts are looked at.
const PARTED_COLUMNS_MAX: usize = 4 << 20;

/// Whether parts are tokens of a sequence, and not of an image.
pub(super) fn is_tokens(question: &Question) -> bool {
    question.options.get("of").and_then(serde_json::Value::as_str) == Some("tokens")
}

/// A tensor of these dimensions.
pub(super) fn tensor(dims: &[usize], data: TensorData) -> Result<Tensor> {
    let dims: Vec<i64> = dims.iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect();
    Tensor::new(Shape::new(&dims)?, data)
}

/// Numbers as a tensor.
pub(super) fn floats(dims: &[usize], values: Vec<f64>) -> Result<Tensor> {
    tensor(dims, TensorData::Fp64(values))
}

/// A list of whole numbers as a tensor.
pub(super) fn whole(values: Vec<i64>) -> Result<Tensor> {
    tensor(&[values.len()], TensorData::Int64(values))
}
