//! Rows that stand for "absent": those of the version's own file, of its golden pairs, or uploaded ones.
//!
//! Which rows stand for "absent" decides what an explanation says, so every answer names them and their digest. Where a
//! version's owner has named no file, the rows of its golden pairs are taken, and the answer says so; where there are
//! none either, what needs a background is refused. Rows that were uploaded live as long as their version in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use candor_domain::{Error, ErrorCode, Result, Shape, Tensor, TensorData, names::quoted};
use sha2::{Digest as _, Sha256};

use super::{
    BackgroundChoice, ExplanationSettings, Subject,
    kmeans::{self, Summary},
    layout::{Matrix, rows_of},
};

/// Where a background comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A file that the version's owner has named.
    File,
    /// The inputs of its golden pairs.
    Golden,
    /// Somebody has uploaded it.
    Uploaded,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::File, Self::Golden, Self::Uploaded];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Golden => "golden",
            Self::Uploaded => "uploaded",
        }
    }
}

/// A background, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundView {
    /// What it is called.
    pub id: String,
    /// Digest of its values.
    pub sha256: String,
    /// How many rows it has.
    pub rows: usize,
    /// Where it comes from.
    pub source: Source,
}

/// A background that was read.
pub(crate) struct Stored {
    pub(crate) view: BackgroundView,
    pub(crate) inputs: Vec<Tensor>,
    summaries: Mutex<HashMap<usize, Arc<Summary>>>,
}

/// What the golden pairs are called as a background.
const GOLDEN: &str = "golden";

/// Summaries of one background that are kept.
const SUMMARIES_MAX: usize = 8;

/// The backgrounds of all versions in memory.
pub(crate) struct Backgrounds {
    rows_max: usize,
    bytes_max: u64,
    uploaded_max: usize,
    versions: Mutex<HashMap<String, OfVersion>>,
}

struct OfVersion {
    life: Weak<()>,
    own: Option<Arc<Stored>>,
    uploaded: Vec<Arc<Stored>>,
}

impl Backgrounds {
    pub(crate) fn new(settings: &ExplanationSettings) -> Self {
        Self {
            rows_max: settings.background_rows_max,
            bytes_max: settings.background_bytes_max,
            uploaded_max: settings.backgrounds_max,
            versions: Mutex::default(),
        }
    }

    /// The rows that a caller chooses.
    pub(crate) fn get(&self, subject: &dyn Subject, choice: &BackgroundChoice) -> Result<Arc<Stored>> {
        let own_id = own_id(subject);
        match &choice.id {
            None => self.own(subject),
            Some(id) if *id == own_id => self.own(subject),
            Some(id) => {
                let found = self.of(subject, |of| of.uploaded.iter().find(|stored| stored.view.id == *id).cloned());
                found.ok_or_else(|| {
                    Error::new(ErrorCode::NotFound, format!("this version has no background {}", quoted(id)))
                        .at("background")
                        .hint("GET the model's backgrounds for those that there are; uploads go with their version")
                })
            }
        }
    }

    /// Keeps uploaded rows.
    pub(crate) fn keep(&self, subject: &dyn Subject, inputs: Vec<Tensor>) -> Result<BackgroundView> {
        let stored = Arc::new(self.stored(subject, None, Source::Uploaded, inputs)?);
        let view = stored.view.clone();
        self.of(subject, |of| {
            if of.uploaded.iter().any(|known| known.view.id == view.id) {
                return Ok(());
            }
            if of.uploaded.len() >= self.uploaded_max {
                return Err(Error::new(ErrorCode::TooLarge, "this version has as many backgrounds as it may have")
                    .at("explanations.backgrounds_max")
                    .expected(format!("at most {}", self.uploaded_max))
                    .hint("DELETE one that is not needed any more"));
            }
            of.uploaded.push(stored);
            Ok(())
        })?;
        Ok(view)
    }

    /// What there is for a version; its own is read if it has not been, and left out if it cannot be.
    pub(crate) fn list(&self, subject: &dyn Subject) -> Vec<BackgroundView> {
        let own = self.own(subject).ok().map(|stored| stored.view.clone());
        let uploaded = self.of(subject, |of| of.uploaded.iter().map(|stored| stored.view.clone()).collect::<Vec<_>>());
        own.into_iter().chain(uploaded).collect()
    }

    /// Forgets uploaded rows.
    pub(crate) fn forget(&self, subject: &dyn Subject, id: &str) -> Result<()> {
        if id == own_id(subject) {
            let error = Error::new(ErrorCode::Unsupported, "this background belongs to the version itself");
            return Err(error.hint("only those that were uploaded can be forgotten"));
        }
        let found = self.of(subject, |of| {
            let place = of.uploaded.iter().position(|stored| stored.view.id == id)?;
            Some(of.uploaded.remove(place))
        });
        found
            .map(drop)
            .ok_or_else(|| Error::new(ErrorCode::NotFound, format!("this version has no background {}", quoted(id))))
    }

    /// Forgets what belongs to versions that have gone.
    pub(crate) fn sweep(&self) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|_, of| of.life.strong_count() > 0);
    }

    fn of<T>(&self, subject: &dyn Subject, work: impl FnOnce(&mut OfVersion) -> T) -> T {
        let about = subject.about();
        let whose = format!("{}/{}/{}", about.model, about.version, about.sha256);
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || OfVersion { life: subject.life(), own: None, uploaded: Vec::new() };
        let of = versions.entry(whose).or_insert_with(fresh);
        // The same version loaded anew begins anew.
        if of.life.strong_count() == 0 {
            *of = fresh();
        }
        work(of)
    }

    /// The version's own rows, read once.
    fn own(&self, subject: &dyn Subject) -> Result<Arc<Stored>> {
        if let Some(known) = self.of(subject, |of| of.own.clone()) {
            return Ok(known);
        }
        let stored = match &subject.about().background {
            Some(name) => {
                let read = || {
                    let bytes = subject.files().read(name)?;
                    if bytes.len() as u64 > self.bytes_max {
                        return Err(Error::new(ErrorCode::TooLarge, "the file is too large for a background")
                            .expected(format!("at most {} bytes", self.bytes_max)));
                    }
                    let inputs = subject.read_table(name, &bytes)?;
                    self.stored(subject, Some(name), Source::File, inputs)
                };
                // The file is its owner's, so whatever is wrong with it is no mistake of the caller.
                read().map_err(|error| {
                    let at = error.place().map_or_else(String::new, |place| format!(", {place}"));
                    let error = error.with_prefix("the model's background cannot be used: ");
                    error.with_code(ErrorCode::InvalidModel).at(format!("{name}{at}"))
                })?
            }
            None => self.golden(subject)?,
        };
        let stored = Arc::new(stored);
        self.of(subject, |of| of.own = Some(Arc::clone(&stored)));
        Ok(stored)
    }

    fn golden(&self, subject: &dyn Subject) -> Result<Stored> {
        let cases = subject.golden()?;
        let mut cases = cases.into_iter();
        let none = || {
            Error::invalid("this version has no rows that stand for \"absent\"").at("background").hint(
                "its owner can name a file: [explain] background = \"background.csv\" in model.toml; an operator can \
                 POST rows to the model's backgrounds",
            )
        };
        let mut inputs = cases.next().ok_or_else(none)?;
        for case in cases {
            // Cases of other shapes (longer texts, larger images) cannot stand for the same.
            if let Some(joined) = join(&inputs, &case).filter(|joined| rows_of(joined) <= self.rows_max) {
                inputs = joined;
            }
        }
        self.stored(subject, Some(GOLDEN), Source::Golden, inputs)
    }

    fn stored(&self, subject: &dyn Subject, id: Option<&str>, source: Source, inputs: Vec<Tensor>) -> Result<Stored> {
        let rows = rows_of(&inputs);
        if rows == 0 {
            return Err(Error::invalid("a background has at least one row").at("rows"));
        }
        if rows > self.rows_max {
            return Err(Error::new(ErrorCode::TooLarge, "a background has fewer rows than this")
                .at("explanations.background_rows_max")
                .expected(format!("at most {}", self.rows_max))
                .got(rows.to_string())
                .hint("send a sample of them"));
        }
        let sha256 = digest(subject, &inputs);
        let id = id.map_or_else(|| format!("u-{}", sha256.get(..16).unwrap_or_default()), str::to_owned);
        Ok(Stored { view: BackgroundView { id, sha256, rows, source }, inputs, summaries: Mutex::default() })
    }
}

impl Stored {
    /// k centres in the place of these rows, as numbers.
    ///
    /// # Errors
    /// `InvalidInput` for texts and gaps, between which there is no middle.
    pub(crate) fn summary(&self, k: usize, rows: &Matrix, textual: bool) -> Result<Arc<Summary>> {
        let refuse = |what: &'static str| Err(Error::invalid(what).at("background/summary"));
        if textual {
            return refuse("texts have no middle, so that no centre can stand for them");
        }
        if rows.data.iter().any(|value| !value.is_finite()) {
            return refuse("rows with gaps have no middle, so that no centre can stand for them");
        }
        let lock = || self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&k) {
            return Ok(Arc::clone(known));
        }
        let summary = Arc::new(kmeans::summarise(rows, k, 0));
        let mut summaries = lock();
        if summaries.len() < SUMMARIES_MAX {
            summaries.insert(k, Arc::clone(&summary));
        }
        Ok(summary)
    }
}

/// What the version's own rows are called.
fn own_id(subject: &dyn Subject) -> String {
    subject.about().background.clone().unwrap_or_else(|| GOLDEN.to_owned())
}

/// sha256 over names, datatypes, shapes and values.
fn digest(subject: &dyn Subject, inputs: &[Tensor]) -> String {
    let mut sha256 = Sha256::new();
    for (spec, tensor) in subject.about().signature.inputs.iter().zip(inputs) {
        // Lengths keep two values from being read as another two.
        sha256.update((spec.name.len() as u64).to_le_bytes());
        sha256.update(spec.name.as_bytes());
        sha256.update(tensor.datatype().name().as_bytes());
        tensor.shape().dims().iter().for_each(|dim| sha256.update(dim.to_le_bytes()));
        macro_rules! feed {
            ($values:expr) => {
                $values.iter().for_each(|value| sha256.update(value.to_le_bytes()))
            };
        }
        match tensor.data() {
            TensorData::Bool(values) | TensorData::Uint8(values) => sha256.update(values),
            TensorData::Uint16(values) | TensorData::Fp16(values) | TensorData::Bf16(values) => feed!(values),
            TensorData::Uint32(values) => feed!(values),
            TensorData::Uint64(values) => feed!(values),
            TensorData::Int8(values) => feed!(values),
            TensorData::Int16(values) => feed!(values),
            TensorData::Int32(values) => feed!(values),
            TensorData::Int64(values) => feed!(values),
            TensorData::Fp32(values) => feed!(values),
            TensorData::Fp64(values) => feed!(values),
            TensorData::Bytes(texts) => texts.iter().for_each(|text| {
                sha256.update((text.len() as u64).to_le_bytes());
                sha256.update(text);
            }),
        }
    }
    sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two sets of inputs behind each other; nothing when their rows have other shapes.
pub(crate) fn join(one: &[Tensor], other: &[Tensor]) -> Option<Vec<Tensor>> {
    if one.len() != other.len() {
        return None;
    }
    one.iter().zip(other).map(|(one, other)| join_two(one, other)).collect()
}

fn join_two(one: &Tensor, other: &Tensor) -> Option<Tensor> {
    let (first, second) = (one.shape().dims(), other.shape().dims());
    if first.get(1..)? != second.get(1..)? {
        return None;
    }
    let mut dims = first.to_vec();
    *dims.first_mut()? += second.first()?;
    macro_rules! join {
        ($($variant:ident)*) => {
            match (one.data(), other.data()) {
                $((TensorData::$variant(one), TensorData::$variant(other)) => {
                    TensorData::$variant(one.iter().chain(other).copied().collect())
                })*
                (TensorData::Bytes(one), TensorData::Bytes(other)) => {
                    TensorData::Bytes(one.iter().chain(other.iter()).collect())
                }
                _ => return None,
            }
        };
    }
    let data = join!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64);
    Tensor::new(Shape::new(&dims).ok()?, data).ok()
}

/// The rows from one to before another.
#[must_use]
pub fn rows_between(inputs: &[Tensor], from: usize, to: usize) -> Vec<Tensor> {
    let part = |tensor: &Tensor| {
        let dims = tensor.shape().dims();
        let rows = dims.first().and_then(|rows| usize::try_from(*rows).ok()).unwrap_or(0);
        let to = to.min(rows);
        let each = tensor.data().len() / rows.max(1);
        let (first, count) = (from * each, to.saturating_sub(from) * each);
        macro_rules! part {
            ($($variant:ident)*) => {
                match tensor.data() {
                    $(TensorData::$variant(all) => {
                        TensorData::$variant(all.iter().skip(first).take(count).copied().collect())
                    })*
                    TensorData::Bytes(all) => TensorData::Bytes(all.iter().skip(first).take(count).collect()),
                }
            };
        }
        let data = part!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64);
        let mut dims = dims.to_vec();
        if let Some(rows) = dims.first_mut() {
            *rows = i64::try_from(to.saturating_sub(from)).unwrap_or(0);
        }
        Shape::new(&dims).and_then(|shape| Tensor::new(shape, data)).ok()
    };
    inputs.iter().filter_map(part).collect()
}
