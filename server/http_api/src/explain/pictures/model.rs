//! The result of a job over many rows: its pictures, and the report of a model.
//!
//! After `global`, whose document is read back: it is what is kept, and so pictures can show nothing else than it says.

use candor_domain::{Error, ErrorCode, Result, names::quoted};
use candor_pictures::{
    Style,
    data::{Cell, Column, Effect, Importance, LocalEffects, Quantity, Sample, Weight},
    pictures,
    report::{
        data::{Background, Fact, ModelReport, Provenance},
        model_report,
    },
};
use serde_json::{Map, Value};

use super::{Wanted, base_is, method, no_picture, provenance, quantity};

const PICTURES: [&str; 6] = ["bar", "beeswarm", "dependence", "importance", "partial_dependence", "local_effects"];

/// Curves of single rows that are drawn.
const CURVES_MAX: usize = 100;

/// One picture of a result.
///
/// # Errors
/// `InvalidInput` where the result has nothing for it.
pub(crate) fn draw_result(bytes: &[u8], wanted: &Wanted) -> Result<String> {
    let result = Found::read(bytes, wanted)?;
    let style = Style::default();
    let picture = wanted.picture.as_deref().unwrap_or_else(|| result.usual());
    let feature = wanted.feature.as_deref();
    let lacks = |hint: &'static str| {
        Error::invalid("the job has found out nothing for this picture")
            .at("query picture")
            .got(quoted(picture))
            .hint(hint)
    };
    Ok(match picture {
        "bar" => match result.sample() {
            Some(sample) => pictures::importance(&pictures::mean_shares(&sample), &style),
            None => {
                let means = result.means().ok_or_else(|| lacks("ask the job for the part attributions"))?;
                pictures::importance(&means, &style)
            }
        },
        "beeswarm" | "dependence" => {
            let rows = "ask the job for the part attributions, with \"keep_rows\": true";
            let sample = result.sample().ok_or_else(|| lacks(rows))?;
            if picture == "beeswarm" {
                return Ok(pictures::beeswarm(&sample, &style));
            }
            let names = sample.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
            let at = match feature {
                Some(name) => names.iter().position(|known| known == name).ok_or_else(|| no_feature(name, &names))?,
                None => largest(&sample),
            };
            pictures::dependence(&sample, at, None, &style)
        }
        "importance" => {
            let importance = result.permutation().ok_or_else(|| lacks("ask the job for permutation_importance"))?;
            pictures::importance(&importance, &style)
        }
        "partial_dependence" => {
            let effects = result.effects();
            if effects.is_empty() {
                return Err(lacks("ask the job for the part partial_dependence"));
            }
            pictures::effect(of_feature(&effects, feature, |effect| &effect.feature)?, &style)
        }
        "local_effects" => {
            let effects = result.local_effects();
            if effects.is_empty() {
                return Err(lacks("ask the job for the part local_effects"));
            }
            pictures::local_effects(of_feature(&effects, feature, |effect| &effect.feature)?, &style)
        }
        other => return Err(no_picture(other, &PICTURES)),
    })
}

/// The report of a result.
///
/// # Errors
/// `InvalidInput` for an output that it does not have.
pub(crate) fn told_result(bytes: &[u8], wanted: &Wanted) -> Result<String> {
    let result = Found::read(bytes, wanted)?;
    let sample = result.sample();
    let means = if sample.is_some() { None } else { result.means() };
    let mut limits = Vec::new();
    if let Some(base) = result.base_is() {
        limits.push(format!("That shares start from an average over the background: here they start from {base}."));
    }
    let report = ModelReport {
        sample: sample.unwrap_or_else(|| Sample { quantity: result.quantity(), columns: Vec::new() }),
        importance: means.into_iter().chain(result.permutation()).collect(),
        effects: result.effects(),
        local_effects: result.local_effects(),
        background: result.background(),
        provenance: result.provenance(),
        limits,
        ..ModelReport::default()
    };
    Ok(model_report(&report, &Style::default()))
}

fn no_feature(name: &str, names: &[String]) -> Error {
    let names = names.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    Error::invalid("the job has not looked at such a feature").at("query feature").expected(names).got(quoted(name))
}

fn of_feature<'a, T>(all: &'a [T], feature: Option<&str>, name: impl Fn(&T) -> &String) -> Result<&'a T> {
    let found = all.iter().find(|one| feature.is_none_or(|feature| name(one) == feature));
    found.ok_or_else(|| {
        let names: Vec<String> = all.iter().map(|one| name(one).clone()).collect();
        no_feature(feature.unwrap_or_default(), &names)
    })
}

/// The feature with the largest mean of absolute shares.
fn largest(sample: &Sample) -> usize {
    let weight = |column: &Column| column.shares.iter().map(|share| share.abs()).sum::<f64>();
    let weights = sample.columns.iter().enumerate();
    weights.max_by(|one, other| weight(one.1).total_cmp(&weight(other.1))).map_or(0, |(at, _)| at)
}

/// A result, read back, and the output that is shown.
struct Found {
    all: Map<String, Value>,
    output: String,
}

impl Found {
    fn read(bytes: &[u8], wanted: &Wanted) -> Result<Self> {
        let unread = || Error::new(ErrorCode::Internal, "the result of the job cannot be read back");
        let all: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| unread())?;
        let parts = ["attributions", "partial_dependence", "local_effects", "permutation_importance"];
        let mut names: Vec<String> = Vec::new();
        for part in parts.iter().filter_map(|part| all.get(*part)) {
            // Curves name their outputs each, mean shares as objects.
            let holders: Vec<&Value> = part.as_array().map_or_else(|| vec![part], |list| list.iter().collect());
            let listed = holders.into_iter().filter_map(|holder| holder.get("outputs")?.as_array()).flatten();
            for one in listed {
                let name = one.as_str().or_else(|| one.get("output")?.as_str());
                names.extend(name.filter(|name| !names.iter().any(|known| known == name)).map(str::to_owned));
            }
        }
        let output = match &wanted.output {
            None => names.first().cloned().unwrap_or_default(),
            Some(name) if names.contains(name) => name.clone(),
            Some(name) => {
                let error = Error::invalid("the job has no such output").at("query output").got(quoted(name));
                return Err(error.expected(names.join(", ")));
            }
        };
        Ok(Self { all, output })
    }

    /// The picture that fits what there is.
    fn usual(&self) -> &'static str {
        let has = |part: &str| self.all.contains_key(part);
        match () {
            () if self.rows().is_some() => "beeswarm",
            () if has("attributions") => "bar",
            () if has("permutation_importance") => "importance",
            () if has("partial_dependence") => "partial_dependence",
            () => "local_effects",
        }
    }

    fn text<'a>(from: Option<&'a Value>, name: &str) -> &'a str {
        from.and_then(|from| from.get(name)).and_then(Value::as_str).unwrap_or_default()
    }

    fn attributions(&self) -> Option<&Value> {
        self.all.get("attributions")
    }

    fn rows(&self) -> Option<&Vec<Value>> {
        self.attributions()?.get("explanations")?.as_array().filter(|rows| !rows.is_empty())
    }

    fn rows_count(&self) -> Option<u64> {
        self.all.get("rows").and_then(Value::as_u64)
    }

    fn quantity(&self) -> Quantity {
        quantity(Self::text(self.attributions(), "space"), &self.output)
    }

    /// Mean shares, as the job has made them.
    fn means(&self) -> Option<Importance> {
        let outputs = self.attributions()?.get("outputs")?.as_array()?;
        let own = outputs.iter().find(|one| Self::text(Some(one), "output") == self.output)?;
        let features = own.get("features")?.as_array()?.iter().filter_map(|feature| {
            let (name, weight) =
                (Self::text(Some(feature), "feature").to_owned(), number(feature.get("mean_absolute")?));
            Some(Weight { name, weight, standard_error: None })
        });
        let measure = format!("mean |share| in {}", self.quantity().name);
        Some(Importance { measure, rows: self.rows_count(), features: features.collect() })
    }

    /// All rows, where the job has kept them.
    fn sample(&self) -> Option<Sample> {
        let mut columns: Vec<Column> = Vec::new();
        for row in self.rows()? {
            let outputs = row.get("outputs")?.as_array()?;
            let own = outputs.iter().find(|one| Self::text(Some(one), "output") == self.output)?;
            for (at, one) in own.get("attributions")?.as_array()?.iter().enumerate() {
                if at == columns.len() {
                    columns.push(Column { name: Self::text(Some(one), "feature").to_owned(), ..Column::default() });
                }
                let column = columns.get_mut(at)?;
                column.shares.push(one.get("attribution").map_or(f64::NAN, number));
                column.values.extend(one.get("value").and_then(cell));
            }
        }
        // A group has no single value: then it has none at all.
        for column in &mut columns {
            if column.values.len() != column.shares.len() {
                column.values.clear();
            }
        }
        Some(Sample { quantity: self.quantity(), columns })
    }

    fn permutation(&self) -> Option<Importance> {
        let part = self.all.get("permutation_importance")?;
        let names = part.get("features")?.as_array()?;
        let (mean, deviation) = (numbers(part.get("mean")?), part.get("standard_deviation").map(numbers));
        // Of the mean of so many repeats.
        let repeats = part.get("importances")?.as_array()?.first()?.as_array()?.len().max(1) as f64;
        let features = names.iter().zip(mean).enumerate().map(|(at, (name, weight))| Weight {
            name: name.as_str().unwrap_or_default().to_owned(),
            weight,
            standard_error: deviation.as_ref().and_then(|all| all.get(at)).map(|one| one / repeats.sqrt()),
        });
        let measure = "loss when the feature is shuffled".to_owned();
        Some(Importance { measure, rows: self.rows_count(), features: features.collect() })
    }

    /// The curves of a part, with the feature and the place of the output in each.
    fn curves(&self, part: &str) -> Vec<(String, usize, &Value)> {
        let curves = self.all.get(part).and_then(Value::as_array).into_iter().flatten();
        let one = |curve: &'_ Value| {
            let feature = curve.get("features")?.as_array()?.first()?.as_str()?.to_owned();
            let outputs = curve.get("outputs")?.as_array()?;
            Some((feature, outputs.iter().position(|name| name.as_str() == Some(&self.output))?))
        };
        curves.filter_map(|curve| one(curve).map(|(feature, output)| (feature, output, curve))).collect()
    }

    fn effects(&self) -> Vec<Effect> {
        let one = |(feature, output, curve): (String, usize, &Value)| {
            let grid: Vec<Cell> = curve.get("grid_0")?.as_array()?.iter().filter_map(cell).collect();
            let at = |points: &Value| {
                points.as_array().map(|points| points.iter().map(|point| number(place(point, output))).collect())
            };
            let rows = curve.get("individual").and_then(Value::as_array).into_iter().flatten();
            Some(Effect {
                quantity: quantity(Self::text(Some(curve), "space"), &self.output),
                grid,
                mean: at(curve.get("average")?)?,
                rows: rows.take(CURVES_MAX).filter_map(at).collect(),
                feature,
                ..Effect::default()
            })
        };
        self.curves("partial_dependence").into_iter().filter_map(one).collect()
    }

    fn local_effects(&self) -> Vec<LocalEffects> {
        let one = |(feature, output, curve): (String, usize, &Value)| {
            let effects = curve.get("effect")?.as_array()?.iter().map(|point| number(place(point, output)));
            let counts = curve.get("bin_weights").map(numbers).unwrap_or_default();
            Some(LocalEffects {
                quantity: quantity(Self::text(Some(curve), "space"), &self.output),
                edges: numbers(curve.get("edges_0")?),
                effects: effects.collect(),
                counts: counts.into_iter().map(|count| count.max(0.0).round() as u64).collect(),
                feature,
            })
        };
        self.curves("local_effects").into_iter().filter_map(one).collect()
    }

    fn base_is(&self) -> Option<String> {
        let found = self.attributions()?.get("method")?;
        let config = found.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
        base_is(Self::text(Some(found), "name"), &config, self.attributions()?.get("background").is_some())
    }

    fn background(&self) -> Background {
        let note = self.attributions().and_then(|all| all.get("background"));
        let text = |name: &str| note.map(|note| Self::text(Some(note), name).to_owned());
        let rows = note.and_then(|note| note.get("rows")).and_then(Value::as_u64);
        Background { id: text("id"), digest: text("sha256"), rows, description: text("source") }
    }

    fn provenance(&self) -> Provenance {
        let text = |name: &str| self.all.get(name).and_then(Value::as_str).unwrap_or_default();
        let engine = self.all.get("engine");
        let found = self.attributions().and_then(|all| all.get("method"));
        let config = found.and_then(|found| found.get("config")?.as_object().cloned()).unwrap_or_default();
        let rows = self.rows_count().map(|rows| Fact { name: "Rows".to_owned(), value: rows.to_string() });
        Provenance {
            engine: Some(format!("{} {}", Self::text(engine, "name"), Self::text(engine, "version"))),
            engine_digest: engine.and_then(|engine| engine.get("sha256")?.as_str().map(str::to_owned)),
            method: found.map(|_| method(Self::text(found, "name"), Self::text(found, "component"), &config)),
            space: self.attributions().map(|all| Self::text(Some(all), "space").to_owned()),
            seed: self.all.get("seed").and_then(Value::as_i64),
            evaluations: self.attributions().and_then(|all| all.get("evaluations")?.as_u64()),
            more: rows.into_iter().collect(),
            ..provenance(text("model"), text("version"), text("sha256"))
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map(|list| list.iter().map(number).collect()).unwrap_or_default()
}

/// The value of an output at a point; the point itself where there is but one.
fn place(point: &Value, output: usize) -> &Value {
    match point {
        Value::Array(outputs) => outputs.get(output).unwrap_or(&Value::Null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => point,
    }
}

fn cell(value: &Value) -> Option<Cell> {
    Some(match value {
        Value::Null => Cell::MISSING,
        Value::Bool(value) => Cell::Text(value.to_string()),
        Value::Number(_) => Cell::Number(number(value)),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}
