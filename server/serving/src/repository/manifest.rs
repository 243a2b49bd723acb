//! `model.toml`: what a model says of itself to people, and how its versions are chosen.
//!
//! Everything in it is optional; unknown keys are refused, and what contradicts the graph is an error at
//! load. The graph alone decides names, datatypes and shapes.

use std::{collections::BTreeSet, fmt};

use candor_domain::{Dim, Error, RequestRules, Result, Signature, TensorSpec, Version};
use serde::{Deserialize, Deserializer, de};

use super::{
    batching::BatchingNotes,
    breaker::BreakerNotes,
    explain::ExplainNotes,
    overload::OverloadNotes,
    parts::{EnsembleNotes, PartLimits, PluginNotes, StageNotes},
    result_cache::ResultCacheNotes,
};
use crate::engines::EngineChoice;

/// The contents of `model.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// A short human name.
    pub title: Option<String>,
    /// What it predicts and how it was made.
    pub description: Option<String>,
    /// Licence of weights and data.
    pub licence: Option<String>,
    /// `classification`, `regression` or `other`.
    pub task: Option<String>,
    /// Which versions are served; the server's default if absent.
    pub versions: Option<VersionPolicy>,
    /// Most rows in one request; no limit if absent.
    pub batch_rows_max: Option<u64>,
    /// Whether tensors without elements are passed to the engine; see [`RequestRules::empty_tensors`].
    #[serde(default)]
    pub empty_tensors: bool,
    /// Which engines may run it; all of the server's if absent.
    #[serde(default)]
    pub engine: EngineChoice,
    /// How its requests are put together.
    #[serde(default)]
    pub batching: BatchingNotes,
    /// How its breakers differ from the server's.
    #[serde(default)]
    pub breaker: BreakerNotes,
    /// How its concurrency limits differ from the server's.
    #[serde(default)]
    pub overload: OverloadNotes,
    /// Whether it may leave memory, and what it takes there.
    #[serde(default)]
    pub residency: ResidencyNotes,
    /// Whether its answers are kept.
    #[serde(default)]
    pub result_cache: ResultCacheNotes,
    /// What its explanations start from.
    #[serde(default)]
    pub explain: ExplainNotes,
    /// What runs before and after the engine, in this order.
    #[serde(default, rename = "stage")]
    pub stages: Vec<StageNotes>,
    /// The component that is the engine, if one is.
    pub plugin: Option<PluginNotes>,
    /// The models that it is made of, if it is made of models.
    pub ensemble: Option<EnsembleNotes>,
    /// Notes on inputs, by name.
    #[serde(default)]
    pub inputs: Vec<TensorNotes>,
    /// Notes on outputs, by name.
    #[serde(default)]
    pub outputs: Vec<TensorNotes>,
}

/// `[residency]` of `model.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidencyNotes {
    /// Whether it stays in memory whatever else wants room.
    #[serde(default)]
    pub pin: bool,
    /// Bytes that a session of it takes, where its owner knows better than a measurement.
    pub bytes: Option<u64>,
}

/// Notes on one input or output.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { name = \"x\" }")]
pub struct TensorNotes {
    /// Name in the graph.
    pub name: String,
    /// What it means.
    pub description: Option<String>,
    /// The columns of the last dimension.
    #[serde(default)]
    pub features: Vec<Feature>,
    /// Class labels by index of the last dimension.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What an output is to people; guessed from its name, datatype and labels if absent.
    pub role: Option<Role>,
}

/// What an output is to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The class that was chosen.
    Label,
    /// The probability of each class.
    Probabilities,
    /// A score of each class that is no probability, such as a logit.
    Scores,
    /// The number that was predicted.
    Value,
    /// Nothing of these.
    Other,
}

/// One column.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { name = \"a\" }")]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its unit of measurement.
    pub unit: Option<String>,
    /// Smallest sensible value.
    pub min: Option<f64>,
    /// Largest sensible value.
    pub max: Option<f64>,
    /// The texts that it may have; any if empty.
    #[serde(default)]
    pub categories: Vec<String>,
    /// What a row that leaves it out is taken to say.
    pub default: Option<Filler>,
    /// What stands for null, NaN and an empty cell; `nan` passes them on to the model.
    pub impute: Option<Filler>,
    /// Features of the same group are explained as one, where the caller asks for that.
    pub group: Option<String>,
    /// Whether no advice may change it, such as an age.
    #[serde(default)]
    pub immutable: bool,
    /// What it means.
    pub description: Option<String>,
}

/// A value that stands for one that is not there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a number, a text, or true or false")]
pub enum Filler {
    /// For features of datatype BOOL.
    Bool(bool),
    /// For whole numbers.
    Whole(i64),
    /// For any number.
    Number(f64),
    /// For features of datatype BYTES.
    Text(String),
}

/// Which versions of a model are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPolicy {
    /// The highest n.
    Latest(usize),
    /// All of them.
    All,
    /// Exactly these.
    Specific(BTreeSet<Version>),
}

impl VersionPolicy {
    /// Reads `latest`, `latest:3`, `all`, or versions separated by commas.
    ///
    /// # Errors
    /// `InvalidInput` for anything else.
    pub fn parse(raw: &str) -> Result<Self> {
        let refuse = || {
            Error::invalid("not a version policy")
                .expected("\"latest\", \"latest:3\", \"all\", or versions such as \"1,2\"")
                .got(candor_domain::names::quoted(raw))
        };
        match raw.trim() {
            "all" => Ok(Self::All),
            "latest" => Ok(Self::Latest(1)),
            other => match other.strip_prefix("latest:") {
                Some(count) => match count.trim().parse() {
                    Ok(count) if count > 0 => Ok(Self::Latest(count)),
                    Ok(_) | Err(_) => Err(refuse()),
                },
                None => {
                    let versions = other.split(',').map(|piece| Version::parse(piece.trim()));
                    versions.collect::<Result<_>>().map(Self::Specific).map_err(|_| refuse())
                }
            },
        }
    }

    /// The versions of `available` (lowest first) that are to be served.
    ///
    /// # Errors
    /// `InvalidModel` when a version that is named is not there.
    pub fn select(&self, available: &[Version]) -> Result<BTreeSet<Version>> {
        match self {
            Self::All => Ok(available.iter().cloned().collect()),
            Self::Latest(count) => Ok(available.iter().rev().take(*count).cloned().collect()),
            Self::Specific(wanted) => match wanted.iter().find(|version| !available.contains(version)) {
                Some(missing) => Err(Error::model(format!("version {missing} is asked for but not in the repository"))
                    .expected(available.iter().map(Version::as_str).collect::<Vec<_>>().join(", "))),
                None => Ok(wanted.clone()),
            },
        }
    }
}

impl fmt::Display for VersionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Latest(count) => write!(f, "latest:{count}"),
            Self::Specific(versions) => {
                f.write_str(&versions.iter().map(Version::as_str).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl<'de> Deserialize<'de> for VersionPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "\"latest\", \"latest:3\", \"all\", or a list of versions such as [\"1\", \"2\"]"
        )]
        enum Raw {
            Word(String),
            List(Vec<String>),
        }
        let text = match Raw::deserialize(deserializer)? {
            Raw::Word(word) => word,
            Raw::List(list) => list.join(","),
        };
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// `InvalidModel` with line and key.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_within(text, PartLimits::default())
    }

    /// As [`Self::parse`], of no more parts than these.
    ///
    /// # Errors
    /// As there.
    pub fn parse_within(text: &str, limits: PartLimits) -> Result<Self> {
        let mut manifest: Self =
            toml::from_str(text).map_err(|error| Error::model(error.to_string().trim_end().replace('\n', "\n  ")))?;
        let made_of = (manifest.plugin.as_ref(), manifest.ensemble.as_ref());
        manifest.engine = super::parts::settle(manifest.engine, made_of, &manifest.stages, limits)?;
        Ok(manifest)
    }

    /// Whether its versions need no graph: a component or other models stand in its place.
    #[must_use]
    pub fn is_graphless(&self) -> bool {
        self.plugin.is_some() || self.ensemble.is_some()
    }

    /// Compares the manifest with the graph.
    ///
    /// # Errors
    /// `InvalidModel` that names the entry that contradicts it, with all others that do.
    pub fn check(&self, signature: &Signature) -> Result<()> {
        Error::all(self.faults(signature))
    }

    /// Everything in which the manifest contradicts the graph.
    #[must_use]
    pub fn faults(&self, signature: &Signature) -> Vec<Error> {
        let mut faults = Vec::new();
        if self.batch_rows_max == Some(0) {
            let error = Error::model("batch_rows_max = 0 would refuse every request");
            faults.push(error.hint("leave it out for no limit"));
        }
        if self.residency.bytes == Some(0) {
            let error = Error::model("no session takes 0 bytes").at("model.toml residency.bytes");
            faults.push(error.hint("leave it out: candor probe measures it"));
        }
        const TASKS: [&str; 3] = ["classification", "regression", "other"];
        if let Some(task) = self.task.as_deref().filter(|task| !TASKS.contains(task)) {
            let error = Error::model("there is no such task").at("model.toml task").expected(TASKS.join(", "));
            let error = error.got(candor_domain::names::quoted(task));
            faults.push(match crate::likeness::closest(task, TASKS.into_iter()) {
                Some(close) => error.hint(format!("did you mean \"{close}\"?")),
                None => error,
            });
        }
        faults.extend(self.batching.faults());
        faults.extend(self.breaker.faults());
        faults.extend(self.overload.faults());
        faults.extend(self.result_cache.faults());
        faults.extend(self.explain.faults());
        faults.extend(self.parts_that_change());
        check_side("inputs", &self.inputs, &signature.inputs, &mut faults);
        check_side("outputs", &self.outputs, &signature.outputs, &mut faults);
        faults
    }

    /// Answers are kept as long as their version is, and parts of a version may be another than they were: libraries that
    /// are loaded anew, members of an ensemble.
    fn parts_that_change(&self) -> Option<Error> {
        let of_parts = !self.stages.is_empty() || self.plugin.is_some() || self.ensemble.is_some();
        let error = || Error::model("answers of a model of several parts cannot be kept: its parts may change");
        (of_parts && self.result_cache.is_on()).then(|| error().at("model.toml result_cache.enabled"))
    }

    /// What it allows beyond what the graph declares.
    #[must_use]
    pub fn rules(&self) -> RequestRules {
        RequestRules { batch_rows_max: self.batch_rows_max, empty_tensors: self.empty_tensors }
    }

    /// Class labels of the output `name`.
    #[must_use]
    pub fn labels(&self, name: &str) -> &[String] {
        self.outputs.iter().find(|notes| notes.name == name).map_or(&[], |notes| &notes.labels)
    }
}

fn check_side(side: &str, notes: &[TensorNotes], specs: &[TensorSpec], faults: &mut Vec<Error>) {
    for (index, note) in notes.iter().enumerate() {
        let at = format!("model.toml {side}[{index}]");
        let Some(spec) = specs.iter().find(|spec| *spec.name == *note.name) else {
            let names: Vec<_> = specs.iter().map(|spec| &*spec.name).collect();
            let error = Error::model(format!("the graph has no such name '{}'", note.name));
            faults.push(error.at(at).expected(names.join(", ")));
            continue;
        };
        let mut labels: Vec<&String> = note.labels.iter().collect();
        labels.sort();
        if let Some(pair) = labels.windows(2).find(|pair| pair.first() == pair.last()) {
            let twice = pair.first().map_or("", |label| label.as_str());
            faults.push(Error::model(format!("two classes of '{}' are called '{twice}'", note.name)).at(&*at));
        }
        let last = spec.dims.as_ref().and_then(|dims| dims.last());
        for (what, count) in [("features", note.features.len()), ("labels", note.labels.len())] {
            match last {
                // One column of classes holds the class itself, by its index in the labels.
                Some(Dim::Fixed(1)) if what == "labels" => {}
                Some(Dim::Fixed(size)) if count > 0 && i64::try_from(count) != Ok(*size) => {
                    let error = Error::model(format!("{what} of '{}' do not fit the graph", note.name)).at(&*at);
                    faults.push(error.expected(format!("{size} (the last dimension)")).got(count.to_string()));
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(raw: &[&str]) -> Vec<Version> {
        raw.iter().map(|raw| Version::parse(raw).unwrap()).collect()
    }

    #[test]
    fn policies_select_by_numeric_order() {
        let available = versions(&["1", "2", "10"]);
        let select = |raw: &str| -> Vec<String> {
            let policy = VersionPolicy::parse(raw).unwrap();
            policy.select(&available).unwrap().iter().map(Version::to_string).collect()
        };
        assert_eq!(select("latest"), ["10"]);
        assert_eq!(select("latest:2"), ["2", "10"]);
        assert_eq!(select("all"), ["1", "2", "10"]);
        assert_eq!(select("1, 10"), ["1", "10"]);
        let missing = VersionPolicy::parse("3").unwrap().select(&available).unwrap_err();
        assert_eq!(missing.to_string(), "version 3 is asked for but not in the repository; expected 1, 2, 10");
        for bad in ["", "latest:0", "latest:x", "newest", "1,,2"] {
            assert!(VersionPolicy::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let error = Manifest::parse("title = \"x\"\nbatch_row_max = 3\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("batch_row_max"), "{error}");
    }

    #[test]
    fn a_bare_name_is_answered_with_what_a_feature_looks_like() {
        let parse = |text: &str| Manifest::parse(text).unwrap_err().to_string();
        let error = parse("[[inputs]]\nname = \"x\"\nfeatures = [\"a\"]\n");
        assert!(error.contains("string \"a\", expected a table such as { name = \"a\" }"), "{error}");
        let error = parse("inputs = [\"x\"]\n");
        assert!(error.contains("expected a table such as { name = \"x\" }"), "{error}");
    }

    #[test]
    fn classes_have_names_of_their_own() {
        let spec = TensorSpec { name: "y".into(), datatype: candor_domain::Datatype::Fp32, dims: None };
        let signature = Signature { inputs: vec![], outputs: vec![spec] };
        let check = |labels: &str| {
            Manifest::parse(&format!("[[outputs]]\nname = \"y\"\nlabels = {labels}")).unwrap().check(&signature)
        };
        assert!(check(r#"["a", "b"]"#).is_ok());
        let error = check(r#"["a", "b", "a"]"#).unwrap_err().to_string();
        assert_eq!(error, "model.toml outputs[0]: two classes of 'y' are called 'a'");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let dims = Some(vec![Dim::Any(None), Dim::Fixed(2)]);
        let spec = TensorSpec { name: "y".into(), datatype: candor_domain::Datatype::Fp32, dims };
        let signature = Signature { inputs: vec![], outputs: vec![spec] };
        let manifest = Manifest::parse(
            "batch_rows_max = 0\n[[inputs]]\nname = \"x\"\n[[outputs]]\nname = \"y\"\nlabels = [\"a\", \"b\", \"a\"]",
        );
        let error = manifest.unwrap().check(&signature).unwrap_err();
        let all: Vec<String> = std::iter::once(&error).chain(error.others()).map(|one| one.what().to_owned()).collect();
        assert_eq!(
            all,
            [
                "batch_rows_max = 0 would refuse every request",
                "the graph has no such name 'x'",
                "two classes of 'y' are called 'a'",
                "labels of 'y' do not fit the graph"
            ]
        );
    }
}
