//! A JSON body in one of its forms: `instances` (a list of rows), `inputs` (whole tensors, or columns),
//! `dataframe_split`, `dataframe_records`.
//!
//! A row or column is a tensor where it is named by an input, or is not named at all; and a feature where it is
//! named by one. Read in one pass but for the first row, which says which of the two the others are.

use std::{borrow::Cow, fmt};

use candor_domain::{Error, Result, Signature, Tensor, names::quoted};
use candor_serving::{
    ReadyVersion,
    features::{FeatureSet, Place, Table},
    likeness,
};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    codec::{Dialect, Spots, counts_rows},
    frame::SplitSeed,
    tensors::{Builder, ValueSeed},
};
use crate::{
    native::{ColumnsSeed, Layout, Reading, RowSeed, RowsSeed},
    wire::Word,
};

/// The only signature that an ONNX graph has.
const SIGNATURE_NAME: &str = "serving_default";

/// What a body held.
pub(super) enum Content {
    /// Features; they are in the table.
    Table,
    /// A row of each input, row by row.
    Rows(Vec<Tensor>, usize),
    /// Whole tensors.
    Whole(Vec<Tensor>),
}

/// What all seeds of one body share.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) version: &'a ReadyVersion,
    pub(super) dialect: Dialect,
    pub(super) reading: &'a Reading<'a>,
    pub(super) spots: &'a Spots,
}

/// Reads a body; features go into `table`. `None` means that the table says what is wrong.
pub(super) fn read(body: &[u8], table: &mut Option<Table<'_>>, context: Context<'_>) -> Result<Option<Content>> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    let content = BodySeed { table, context }.deserialize(&mut parser);
    match content.and_then(|content| parser.end().map(|()| content)) {
        Ok(content) => Ok(Some(content)),
        Err(error) => context.reading.explain(&error, body).map_or(Ok(None), Err),
    }
}

/// What names the values of a row, or of whole tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    Features,
    Inputs,
    /// Nothing: they are those of the only input.
    Nothing,
}

impl<'a> Context<'a> {
    pub(super) fn raise<E: de::Error>(&self, error: Error) -> E {
        self.reading.trouble.raise(error)
    }

    fn signature(&self) -> &'a Signature {
        &self.version.signature
    }

    /// The table, or why there can be none.
    pub(super) fn table<'t, 's, E: de::Error>(&self, table: &'t mut Option<Table<'s>>) -> Result<&'t mut Table<'s>, E> {
        match (table, &self.version.features) {
            (Some(table), _) => Ok(table),
            (None, Err(error)) => Err(self.raise(error.clone())),
            (None, Ok(_)) => Err(self.raise(Error::new(candor_domain::ErrorCode::Internal, "the table is missing"))),
        }
    }

    /// Whether a list is a row of features here, and not of a tensor.
    fn lists_are_features(&self) -> bool {
        let is_table = |set: &FeatureSet| {
            set.all().len() > 1 && set.all().iter().all(|feature| matches!(feature.place, Place::Column(_)))
        };
        self.dialect.speaks_in_rows() && self.version.features.as_ref().is_ok_and(is_table)
    }

    /// What names the values of `raw`, judged by its first key. Where an input is a feature, its values by row may
    /// be the whole tensor, `whole`, or not.
    fn naming(&self, raw: &RawValue, whole: bool) -> Naming {
        let Some(members) = raw.get().strip_prefix('{') else {
            return if self.lists_are_features() { Naming::Features } else { Naming::Nothing };
        };
        let first = serde_json::Deserializer::from_str(members).into_iter::<String>().next();
        let key = first.and_then(Result::ok).unwrap_or_default();
        let is_input = self.signature().input_index(&key).is_some();
        let set = self.version.features.as_ref().ok();
        let is_feature = set.is_some_and(|set| set.index(&key).is_some());
        let declared = set.is_some_and(|set| set.all().iter().any(|feature| feature.declared));
        match (is_input, is_feature) {
            (true, false) => Naming::Inputs,
            (false, true) => Naming::Features,
            (true, true) if self.dialect.speaks_in_rows() && !whole => Naming::Features,
            (true, true) => Naming::Inputs,
            (false, false) if key == "b64" => Naming::Nothing,
            (false, false) if declared => Naming::Features,
            (false, false) => Naming::Inputs,
        }
    }

    fn builders(&self) -> Vec<Builder<'a>> {
        self.signature().inputs.iter().map(|spec| Builder::new(spec, self.reading.limits)).collect()
    }

    /// The one builder of a model whose only input need not be named.
    fn only<'b, 's, E: de::Error>(&self, builders: &'b mut [Builder<'s>], at: &str) -> Result<&'b mut Builder<'s>, E> {
        match builders {
            [only] => Ok(only),
            _ => {
                let error = Error::invalid("the model has several inputs, so a value needs a name").at(at);
                Err(self.raise(error.expected(format!("an object with {}", input_names(self.signature())))))
            }
        }
    }

    /// Reads a value that was set aside.
    pub(super) fn reread<'de, S: DeserializeSeed<'de>, E: de::Error>(
        &self,
        seed: S,
        raw: &'de RawValue,
    ) -> Result<S::Value, E> {
        let mut parser = serde_json::Deserializer::from_str(raw.get());
        seed.deserialize(&mut parser).map_err(|error| match self.reading.explain(&error, raw.get().as_bytes()) {
            Some(error) => self.raise(error),
            None => self.reading.stop(candor_serving::features::Stop),
        })
    }
}

fn input_names(signature: &Signature) -> String {
    signature.inputs.iter().map(|spec| &*spec.name).collect::<Vec<_>>().join(", ")
}

struct BodySeed<'t, 's, 'a> {
    table: &'t mut Option<Table<'s>>,
    context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for BodySeed<'_, '_, '_> {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BodySeed<'_, '_, '_> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {}", self.context.dialect.forms())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Content, A::Error> {
        let context = self.context;
        let mut seen: Vec<&str> = Vec::new();
        let mut content = None;
        while let Some(key) = map.next_key::<Word<'de>>()?.map(|word| word.0) {
            let known = context.dialect.members().iter().find(|member| **member == key);
            let Some(&member) = known else { return Err(context.raise(unknown_member(&key, context.dialect))) };
            if seen.contains(&member) {
                let error = Error::invalid("this member stands there twice");
                return Err(context.raise(error.at(format!("/{member}"))));
            }
            seen.push(member);
            match member {
                "signature_name" => check_signature_name(map.next_value()?).map_err(|error| context.raise(error))?,
                "parameters" | "params" => {
                    check_parameters(member, map.next_value()?).map_err(|error| context.raise(error))?;
                }
                form if content.is_some() => {
                    let error = Error::invalid("a body has one table, and another came before").at(format!("/{form}"));
                    return Err(context.raise(error.expected(context.dialect.forms())));
                }
                form => content = Some(self.content(form, &mut map)?),
            }
        }
        content.ok_or_else(|| {
            let error = Error::invalid("the body holds nothing to predict").expected(context.dialect.forms());
            context.raise(error.hint("such as {\"instances\": [[1.0, 2.0]]}; see docs/CONTRACTS.md"))
        })
    }
}

impl BodySeed<'_, '_, '_> {
    fn content<'de, A: MapAccess<'de>>(&mut self, form: &'static str, map: &mut A) -> Result<Content, A::Error> {
        let Self { table, context } = self;
        let context = *context;
        context.spots.root.set(match form {
            "instances" => "/instances",
            "inputs" => "/inputs",
            "dataframe_split" => "/dataframe_split/data",
            _ => "/dataframe_records",
        });
        match form {
            "instances" => map.next_value_seed(InstancesSeed { table, context }),
            "inputs" => whole(map.next_value()?, table, context),
            "dataframe_split" => {
                let table = context.table(table)?;
                map.next_value_seed(SplitSeed { table, context }).map(|()| Content::Table)
            }
            _ => {
                let table = context.table(table)?;
                map.next_value_seed(RowsSeed { table, reading: context.reading }).map(|()| Content::Table)
            }
        }
    }
}

fn unknown_member(key: &str, dialect: Dialect) -> Error {
    let error =
        Error::invalid(format!("there is no member {} here", quoted(key))).expected(dialect.members().join(", "));
    match likeness::closest(key, dialect.members().iter().copied()) {
        Some(close) => error.hint(format!("did you mean \"{close}\"?")),
        None => error,
    }
}

fn check_signature_name(raw: &RawValue) -> Result<()> {
    match serde_json::from_str::<Option<Cow<'_, str>>>(raw.get()).as_ref().map(Option::as_deref) {
        Ok(None | Some("" | SIGNATURE_NAME)) => Ok(()),
        Ok(Some(_)) | Err(_) => Err(Error::invalid("the model has no such signature")
            .at("/signature_name")
            .expected(format!("\"{SIGNATURE_NAME}\", which may be left out"))
            .got(quoted(raw.get().trim_matches('"')))),
    }
}

/// Parameters of a model's own code, which there is none of.
fn check_parameters(member: &str, raw: &RawValue) -> Result<()> {
    let inside = raw.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    if raw.get() == "null" || inside.is_some_and(|inside| inside.trim().is_empty()) {
        return Ok(());
    }
    let error = Error::invalid("an ONNX model takes no parameters").at(format!("/{member}"));
    Err(error.expected("nothing, or an empty object").got(quoted(raw.get())))
}

/// Whole tensors, or columns.
fn whole<E: de::Error>(raw: &RawValue, table: &mut Option<Table<'_>>, context: Context<'_>) -> Result<Content, E> {
    // Without rows to tell apart there are no columns: a whole tensor is what is meant.
    let naming = context.naming(raw, !counts_rows(context.version));
    let mut builders = context.builders();
    match naming {
        Naming::Features => {
            let table = context.table(table)?;
            let reading = context.reading;
            if raw.get().starts_with('{') {
                reading.layout.set(Layout::Columns);
                context.reread(ColumnsSeed { table, reading }, raw)?;
            } else {
                context.reread(RowsSeed { table, reading }, raw)?;
            }
            return Ok(Content::Table);
        }
        Naming::Inputs => context.reread(NamedSeed { builders: &mut builders, context, at: "/inputs".into() }, raw)?,
        Naming::Nothing => {
            let builder = context.only(&mut builders, "/inputs")?;
            let at = || "/inputs".to_owned();
            context.reread(ValueSeed { builder, depth: 0, reading: context.reading, at: &at }, raw)?;
        }
    }
    finish(builders, None, context).map(Content::Whole)
}

fn finish<E: de::Error>(
    builders: Vec<Builder<'_>>,
    rows: Option<usize>,
    context: Context<'_>,
) -> Result<Vec<Tensor>, E> {
    let tensors = builders.into_iter().map(|builder| builder.finish(rows));
    tensors.collect::<Result<_>>().map_err(|error| context.raise(error.at(context.spots.root.get())))
}

struct InstancesSeed<'t, 's, 'a> {
    table: &'t mut Option<Table<'s>>,
    context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for InstancesSeed<'_, '_, '_> {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for InstancesSeed<'_, '_, '_> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of instances")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Content, A::Error> {
        let Self { table, context } = self;
        let Some(first) = rows.next_element::<&'de RawValue>()? else {
            let error = Error::invalid("there are no rows").at("/instances").expected("at least 1 instance");
            return Err(context.raise(error));
        };
        let naming = context.naming(first, false);
        if naming == Naming::Features {
            let table = context.table(table)?;
            let reading = context.reading;
            context.reread(RowSeed { table, reading }, first)?;
            while rows.next_element_seed(RowSeed { table, reading })?.is_some() {}
            return Ok(Content::Table);
        }
        let mut builders = context.builders();
        let mut count = 0;
        context.reread(InstanceSeed { builders: &mut builders, context, naming, row: count }, first)?;
        loop {
            count += 1;
            let seed = InstanceSeed { builders: &mut builders, context, naming, row: count };
            if rows.next_element_seed(seed)?.is_none() {
                return finish(builders, Some(count), context).map(|tensors| Content::Rows(tensors, count));
            }
        }
    }
}

/// A row of each input, or of the only one.
struct InstanceSeed<'b, 's, 'a> {
    builders: &'b mut [Builder<'s>],
    context: Context<'a>,
    naming: Naming,
    row: usize,
}

impl<'de> DeserializeSeed<'de> for InstanceSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { builders, context, naming, row } = self;
        let at = || format!("/instances/{row}");
        if naming == Naming::Inputs {
            return NamedSeed { builders, context, at: at().into() }.deserialize(deserializer);
        }
        let builder = context.only(builders, "/instances")?;
        ValueSeed { builder, depth: 0, reading: context.reading, at: &at }.deserialize(deserializer)
    }
}

/// An object of values by input.
struct NamedSeed<'b, 's, 'a> {
    builders: &'b mut [Builder<'s>],
    context: Context<'a>,
    at: Cow<'static, str>,
}

impl<'de> DeserializeSeed<'de> for NamedSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NamedSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of values by input ({})", input_names(self.context.signature()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { builders, context, at } = self;
        let signature = context.signature();
        let mut seen = vec![false; builders.len()];
        while let Some(name) = members.next_key::<Word<'de>>()?.map(|word| word.0) {
            // Asked only for names of inputs, which have a length that can be shown (RFC 6901 §3).
            let place = || format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            let input = signature.input_index(&name);
            let slot = input.and_then(|input| Some((builders.get_mut(input)?, seen.get_mut(input)?)));
            let Some((builder, seen)) = slot else {
                let error = Error::invalid(format!("the model has no input {}", quoted(&name)));
                let error = error.at(at.clone()).expected(input_names(signature));
                let close = likeness::closest(&name, signature.inputs.iter().map(|spec| &*spec.name));
                return Err(context.raise(match close {
                    Some(close) => error.hint(format!("did you mean '{close}'?")),
                    None => error,
                }));
            };
            if std::mem::replace(seen, true) {
                return Err(context.raise(Error::invalid("this input stands there twice").at(place())));
            }
            members.next_value_seed(ValueSeed { builder, depth: 0, reading: context.reading, at: &place })?;
        }
        match signature.inputs.iter().zip(seen).find(|(_, seen)| !seen) {
            Some((missing, _)) => {
                let error = Error::invalid(format!("input '{}' is missing", missing.name)).at(at);
                Err(context.raise(error.expected(input_names(signature))))
            }
            None => Ok(()),
        }
    }
}
