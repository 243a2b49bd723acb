//! Rules that hold an answer: where few conditions are met, the version nearly always answers as for the row.
//!
//! The search is a component's; here columns become features again, and codes of texts become texts. How sure a rule is
//! was measured by asking the version itself.

use candor_domain::{ComponentOrigin, Error, Result};

use super::{
    BackgroundNote, Core, EngineNote, Kind, Question, Rows, ShownCell, Space, Subject, Turn, blame,
    effect::truths,
    found::Found,
    layout::rows_of,
    scene::{Scene, whole},
    target::Target,
};

/// The component that searches.
const COMPONENT: &str = "candor.anchors";

/// What was found.
#[derive(Debug, Clone)]
pub struct Anchors {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// Its sha256, in hex.
    pub sha256: String,
    /// What ran it.
    pub engine: EngineNote,
    /// The component that searched.
    pub component: &'static str,
    /// Where that comes from.
    pub origin: ComponentOrigin,
    /// What the numbers of answers are.
    pub space: Space,
    /// The outputs that are told.
    pub outputs: Vec<String>,
    /// The rows that others were drawn from.
    pub background: Option<BackgroundNote>,
    /// Evaluations per row that were asked for.
    pub budget: Option<u64>,
    /// The seed.
    pub seed: u64,
    /// Row by row.
    pub rows: Vec<RowAnchor>,
    /// Rows that the model evaluated for all of it.
    pub evaluations: u64,
}

/// The rule of one row.
#[derive(Debug, Clone)]
pub struct RowAnchor {
    /// What the version answers now.
    pub output: Vec<f64>,
    /// The class that is held, where outputs are classes.
    pub class: Option<String>,
    /// Whether the rule is as precise as was wanted; otherwise it is the most precise that was found.
    pub found: bool,
    /// What has to hold, all of it; nothing where the model nearly always answers so.
    pub conditions: Vec<Condition>,
    /// The share of equal answers where the rule holds.
    pub precision: f64,
    /// Its lower bound.
    pub precision_low: f64,
    /// Its upper bound.
    pub precision_high: f64,
    /// The share of the background for which the rule holds.
    pub coverage: f64,
    /// Rows that the model evaluated for it.
    pub evaluations: u64,
}

/// What has to hold of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The feature.
    pub feature: String,
    /// It is more than this.
    pub above: Option<ShownCell>,
    /// It is at most this.
    pub at_most: Option<ShownCell>,
    /// It is this.
    pub equals: Option<ShownCell>,
    /// There is no value.
    pub missing: bool,
}

impl Core {
    /// Looks for rules on this thread.
    pub(super) fn anchors(
        &self,
        subject: &dyn Subject,
        question: &Question,
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Anchors> {
        self.check_rows(rows_of(&rows.inputs))?;
        let scene = self.scene(subject, question, rows, turn)?;
        let (about, rows) = (subject.about(), scene.x.rows);
        let target = Target::choose(about, (&question.outputs, question.space), (&scene.served, rows), false)?;
        let is_number = target.space == Space::Raw && target.elements.len() == 1;
        if is_number && !["within", "threshold"].iter().any(|option| question.options.contains_key(*option)) {
            let error = Error::invalid("no two numbers are the same answer, so that no rule would hold this one");
            let error = error.at("options/within").expected("how far another answer may be from the row's own");
            return Err(error.hint("send {\"options\": {\"within\": 10}} with a distance that means little here"));
        }
        let component = self.own(subject, COMPONENT, &question.options).map_err(|error| error.at("options"))?;
        let more = vec![("categorical", whole(truths(&scene))?)];
        let said = scene.ask(&*component, (&target, false), more, turn);
        let said = said.map_err(|error| blame(COMPONENT, error))?;
        let told = Told { found: Found::new(COMPONENT, &said.tensors), scene: &scene, outputs: &target.names };
        let rows = (0..rows).map(|row| told.row(row)).collect::<Result<_>>()?;
        Ok(Anchors {
            model: about.model.clone(),
            version: about.version.clone(),
            sha256: about.sha256.clone(),
            engine: about.engine.clone(),
            component: COMPONENT,
            origin: component.origin(),
            space: target.space,
            outputs: target.names,
            budget: question.budget,
            seed: question.seed,
            rows,
            evaluations: said.evaluations,
            background: scene.absent.map(|absent| absent.note),
        })
    }
}

/// What the component told, to be read row by row.
struct Told<'a> {
    found: Found<'a>,
    scene: &'a Scene<'a>,
    outputs: &'a [String],
}

impl Told<'_> {
    fn row(&self, row: usize) -> Result<RowAnchor> {
        let part = |name: &str| self.found.of_row(name, (row, self.scene.x.rows));
        let one = |name: &str| self.found.one(name, row);
        let (features, kinds) = (part("features")?, part("kind")?);
        let (low, high, equals) = (part("low")?, part("high")?, part("equals")?);
        let clauses = features.iter().zip(kinds).zip(low.iter().zip(high).zip(equals));
        // A place that is not used has no feature.
        let used = clauses.filter(|((feature, _), _)| **feature >= 0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole numbers from 0")]
        let conditions = used.map(|((feature, kind), ((low, high), equals))| {
            let column = *feature as usize;
            let cell = |value: f64| (!value.is_nan()).then(|| self.cell(column, value));
            Condition {
                feature: self.name(column),
                above: cell(*low),
                at_most: cell(*high),
                equals: cell(*equals),
                missing: *kind == 2.0,
            }
        });
        let conditions = conditions.collect();
        let class = one("class")?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a class, and a count")]
        let (class, evaluations) = (class as usize, one("evaluations")? as u64);
        Ok(RowAnchor {
            output: part("output")?.to_vec(),
            class: if self.outputs.len() > 1 { self.outputs.get(class).cloned() } else { None },
            found: one("found")? > 0.5,
            conditions,
            precision: one("precision")?,
            precision_low: one("precision_low")?,
            precision_high: one("precision_high")?,
            coverage: one("coverage")?,
            evaluations,
        })
    }

    /// What a column is called.
    fn name(&self, column: usize) -> String {
        let players = &self.scene.players;
        let player = players.of_column.get(column).and_then(|player| usize::try_from(*player).ok());
        player.and_then(|player| players.names.get(player)).cloned().unwrap_or_default()
    }

    /// A number of a column as the feature has it.
    fn cell(&self, column: usize, value: f64) -> ShownCell {
        let Scene { layout, words, subject, .. } = self.scene;
        let note = subject.about().features.iter().find(|note| layout.columns_of(note).contains(&column));
        match note.map(super::FeatureNote::kind) {
            Some(Kind::Text) => {
                let text = words.text(value).map(String::from_utf8_lossy).map(std::borrow::Cow::into_owned);
                ShownCell::Text(text.unwrap_or_default())
            }
            Some(Kind::Truth) => ShownCell::Truth(value >= 0.5),
            Some(Kind::Number | Kind::Whole) | None => {
                #[allow(clippy::cast_possible_truncation, reason = "compared with what it was")]
                let single = value as f32;
                // The shortest text of a single, where the bound is one.
                if f64::from(single) == value { ShownCell::Single(single) } else { ShownCell::Double(value) }
            }
        }
    }
}
