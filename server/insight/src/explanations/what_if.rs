//! The smallest changes of a row that give another answer.
//!
//! The search is a component's; here features become columns, what the caller allows becomes numbers, and what was found
//! becomes features again. Every answer that is told was given by the version itself.

use std::sync::Arc;

use candor_domain::{ComponentOrigin, Error, Result, Tensor, TensorData, names::quoted};

use super::{
    About, BackgroundNote, Core, EngineNote, FeatureNote, Kind, OutputPick, Placed, Question, Rows, ShownCell, Space,
    Subject, Turn, blame,
    found::Found,
    layout::rows_of,
    scene::{Scene, floats, whole},
    target::Target,
    values,
};

/// The component that searches.
const COMPONENT: &str = "candor.counterfactuals";

/// What is wanted, and what may be changed for it.
#[derive(Debug, Clone, Default)]
pub struct WhatIf {
    /// How many for each row.
    pub count: Option<usize>,
    /// The answer that is wanted.
    pub wanted: Wanted,
    /// Features that stay as they are, beside those that their owner calls immutable.
    pub immutable: Vec<String>,
    /// Where features may be moved to.
    pub ranges: Vec<(String, Limits)>,
    /// Features that may move one way only.
    pub directions: Vec<(String, Direction)>,
}

/// Where a feature, or an output, may be.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// At least this.
    pub low: Option<f64>,
    /// At most this.
    pub high: Option<f64>,
}

/// The way that a feature may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It may rise.
    Increase,
    /// It may fall.
    Decrease,
}

/// The answer that is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Wanted {
    /// Any other class than now.
    #[default]
    Other,
    /// This class.
    Class(OutputPick),
    /// A number within limits, of the output that the question names.
    Within(Limits),
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Counterfactuals {
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
    /// How it searched.
    pub search: Option<String>,
    /// What the numbers of answers are.
    pub space: Space,
    /// The outputs that are told.
    pub outputs: Vec<String>,
    /// The rows that tell what is usual.
    pub background: Option<BackgroundNote>,
    /// Evaluations per row that were asked for.
    pub budget: Option<u64>,
    /// The seed.
    pub seed: u64,
    /// Row by row.
    pub rows: Vec<RowCounterfactuals>,
    /// Rows that the model evaluated for all of it.
    pub evaluations: u64,
}

/// What was found for one row.
#[derive(Debug, Clone)]
pub struct RowCounterfactuals {
    /// What the version answers now.
    pub output: Vec<f64>,
    /// Whether the row has the wanted answer already.
    pub already: bool,
    /// Whether it is proven that nothing nearer was overlooked.
    pub proven: bool,
    /// Rows that the model evaluated for it.
    pub evaluations: u64,
    /// Changed rows: nearest first, or the nearest miss where there are none.
    pub found: Vec<Counterfactual>,
}

/// A changed row.
#[derive(Debug, Clone)]
pub struct Counterfactual {
    /// Whether it has the wanted answer.
    pub valid: bool,
    /// What is changed.
    pub changes: Vec<Change>,
    /// What the version answers then.
    pub output: Vec<f64>,
    /// How far it is from the row, by what is usual for each feature.
    pub distance: f64,
    /// How far it is from the nearest row of the background.
    pub background_distance: Option<f64>,
}

/// A changed feature.
#[derive(Debug, Clone)]
pub struct Change {
    /// The feature.
    pub feature: Arc<str>,
    /// Its value now.
    pub from: ShownCell,
    /// Its value then.
    pub to: ShownCell,
}

impl Core {
    /// Looks for changes on this thread.
    pub(super) fn what_if(
        &self,
        subject: &dyn Subject,
        (question, what_if): (&Question, &WhatIf),
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Counterfactuals> {
        self.check_rows(rows_of(&rows.inputs))?;
        let scene = self.scene(subject, question, rows, turn)?;
        let (about, rows) = (subject.about(), scene.x.rows);
        let target = Target::choose(about, (&question.outputs, question.space), (&scene.served, rows), false)?;
        let mut more = constraints(&scene, what_if)?;
        more.extend(wanted(what_if, &target)?);
        if let Some(count) = what_if.count {
            more.push(("count", whole(vec![i64::try_from(count).unwrap_or(i64::MAX)])?));
        }
        if question.options.contains_key("file") {
            return Err(Error::invalid("\"file\" is no option of a caller").at("options/file"));
        }
        // A graph of trees tells where answers change; without one the search draws by chance.
        let mut config = question.options.clone();
        config.extend(about.graph.as_ref().map(|graph| ("file".to_owned(), graph.as_str().into())));
        let component = self.own(subject, COMPONENT, &config).map_err(|error| error.at("options"))?;
        let said = scene.ask(&*component, (&target, false), more, turn);
        let said = said.map_err(|error| blame(COMPONENT, error))?;
        let told = Told { found: Found::new(COMPONENT, &said.tensors), scene: &scene, outputs: target.names.len() };
        let rows = (0..rows).map(|row| told.row(row)).collect::<Result<_>>()?;
        Ok(Counterfactuals {
            model: about.model.clone(),
            version: about.version.clone(),
            sha256: about.sha256.clone(),
            engine: about.engine.clone(),
            component: COMPONENT,
            origin: component.origin(),
            search: told.text("method"),
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

/// A feature by its name, with its place in the caller's question.
fn feature<'a>(about: &'a About, name: &str, at: &str) -> Result<&'a FeatureNote> {
    about.features.iter().find(|feature| *feature.name == *name).ok_or_else(|| {
        let names: Vec<&str> = about.features.iter().take(12).map(|feature| &*feature.name).collect();
        Error::invalid(format!("the model has no feature {}", quoted(name))).at(at).expected(names.join(", "))
    })
}

/// What may be changed, as numbers.
fn constraints(scene: &Scene<'_>, what_if: &WhatIf) -> Result<Vec<(&'static str, Tensor)>> {
    let (about, layout) = (scene.subject.about(), &scene.layout);
    let width = layout.columns;
    let (mut immutable, mut integer, mut categorical) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lower, mut upper, mut direction) = (vec![f64::NAN; width], vec![f64::NAN; width], vec![0_i64; width]);
    let set = |values: &mut Vec<f64>, column: usize, value: Option<f64>| {
        if let (Some(slot), Some(value)) = (values.get_mut(column), value) {
            *slot = value;
        }
    };
    for note in &about.features {
        for column in layout.columns_of(note) {
            let number = i64::try_from(column).unwrap_or(i64::MAX);
            if note.immutable || what_if.immutable.iter().any(|name| **name == *note.name) {
                immutable.push(number);
            }
            match note.kind() {
                Kind::Whole => integer.push(number),
                Kind::Truth => categorical.push(number),
                Kind::Number | Kind::Text => {}
            }
            set(&mut lower, column, note.min);
            set(&mut upper, column, note.max);
        }
    }
    for name in &what_if.immutable {
        feature(about, name, "immutable")?;
    }
    for (name, limits) in &what_if.ranges {
        let note = feature(about, name, "ranges")?;
        if let (Some(low), Some(high)) = (limits.low, limits.high)
            && low > high
        {
            let error = Error::invalid(format!("nothing is in the range of '{name}'")).at(format!("ranges/{name}"));
            return Err(error.got(format!("{low} to {high}")));
        }
        for column in layout.columns_of(note) {
            set(&mut lower, column, limits.low);
            set(&mut upper, column, limits.high);
        }
    }
    for (name, way) in &what_if.directions {
        for column in layout.columns_of(feature(about, name, "directions")?) {
            if let Some(slot) = direction.get_mut(column) {
                *slot = if *way == Direction::Increase { 1 } else { -1 };
            }
        }
    }
    Ok(vec![
        ("immutable", whole(immutable)?),
        ("integer", whole(integer)?),
        ("categorical", whole(categorical)?),
        ("lower", floats(&[width], lower)?),
        ("upper", floats(&[width], upper)?),
        ("direction", whole(direction)?),
    ])
}

/// The answer that is wanted, as numbers.
fn wanted(what_if: &WhatIf, target: &Target) -> Result<Vec<(&'static str, Tensor)>> {
    match &what_if.wanted {
        Wanted::Other => Ok(Vec::new()),
        Wanted::Class(pick) => {
            let found = match pick {
                OutputPick::Name(name) => target.names.iter().position(|label| label == name),
                OutputPick::Index(class) => Some(*class).filter(|class| *class < target.names.len().max(2)),
            };
            let class = found.ok_or_else(|| {
                let error = Error::invalid("there is no such class to want").at("wanted/class");
                error.expected(target.names.join(", "))
            })?;
            Ok(vec![("wanted_class", whole(vec![i64::try_from(class).unwrap_or(i64::MAX)])?)])
        }
        Wanted::Within(limits) => {
            if target.elements.len() != 1 {
                return Err(Error::invalid("a range is wanted of one output, and this model has several")
                    .at("output")
                    .expected(target.names.join(", ")));
            }
            let bound = |bound: Option<f64>| floats(&[1], vec![bound.unwrap_or(f64::NAN)]);
            Ok(vec![("wanted_low", bound(limits.low)?), ("wanted_high", bound(limits.high)?)])
        }
    }
}

/// What the component told, to be read row by row.
struct Told<'a> {
    found: Found<'a>,
    scene: &'a Scene<'a>,
    outputs: usize,
}

impl Told<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let TensorData::Bytes(texts) = self.found.tensor(name).ok()?.data() else { return None };
        texts.get(0).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn row(&self, row: usize) -> Result<RowCounterfactuals> {
        let told = &self.found;
        let shape = told.tensor("counterfactuals")?.shape();
        let slots = shape.dims().get(1).and_then(|slots| usize::try_from(*slots).ok()).unwrap_or(0);
        let mut found = Vec::new();
        for slot in 0..slots {
            let at = row * slots + slot;
            let distance = told.one("distance", at)?;
            // A place that stayed empty.
            if distance.is_nan() {
                continue;
            }
            let changed = told.part("counterfactuals", self.scene.layout.columns, at)?;
            let background = told.one("background_distance", at)?;
            found.push(Counterfactual {
                valid: told.one("valid", at)? > 0.5,
                changes: self.changes(row, changed)?,
                output: told.part("output", self.outputs, at)?.to_vec(),
                distance,
                background_distance: Some(background).filter(|distance| distance.is_finite()),
            });
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let evaluations = told.one("evaluations", row)? as u64;
        Ok(RowCounterfactuals {
            output: told.part("output_before", self.outputs, row)?.to_vec(),
            already: told.one("already", row)? > 0.5,
            proven: told.one("proven", row)? > 0.5,
            evaluations,
            found,
        })
    }

    fn changes(&self, row: usize, changed: &[f64]) -> Result<Vec<Change>> {
        let Scene { layout, words, x, inputs, subject, .. } = self.scene;
        let then = layout.decode(changed, 1, words)?;
        let rows = x.rows.max(1);
        let cell = |tensors: &[Tensor], rows: usize, row: usize, note: &FeatureNote| match note.place {
            Placed::Whole => ShownCell::Tensor,
            Placed::Column(column) => tensors.get(note.input).map_or(ShownCell::Gap, |tensor| {
                values::shown(tensor.data(), row * (tensor.data().len() / rows) + column)
            }),
        };
        let features = subject.about().features.iter().filter(|note| {
            let is_other = |column: usize| {
                let (now, then) = (x.row(row).get(column), changed.get(column));
                now.zip(then).is_some_and(|(now, then)| now.to_bits() != then.to_bits() && now != then)
            };
            layout.columns_of(note).any(is_other)
        });
        let changes = features.map(|note| Change {
            feature: Arc::clone(&note.name),
            from: cell(inputs, rows, row, note),
            to: cell(&then, 1, 0, note),
        });
        Ok(changes.collect())
    }
}
