//! Operators of `ai.onnx.ml` that prepare columns, as far as every column that they make comes of one feature.
//!
//! Rounding is ONNX Runtime's. What mixes columns (`Normalizer`) is refused.

use std::{collections::HashMap, sync::Arc};

use candor_onnx::{DataType, Node};

use super::{
    expr::{Entry, Expr, Kind, One, Table, Two, key},
    standard::{columns, fixed, positions},
    value::{Columns, Value, told},
};
use crate::refusal::Refusal;

type Made = Result<Columns, Refusal>;

/// What a node makes of its inputs; none for an operator that is not known here.
pub fn made(node: &Node, inputs: &[Option<&Value>]) -> Option<Result<Vec<Value>, Refusal>> {
    let made = match &*node.op_type {
        "Scaler" => scaler(node, inputs),
        "Imputer" => imputer(node, inputs),
        "OneHotEncoder" => one_hot(node, inputs),
        "LabelEncoder" => label_encoder(node, inputs),
        "ArrayFeatureExtractor" => extractor(inputs),
        "FeatureVectorizer" => vectorizer(inputs),
        "Binarizer" => binarizer(node, inputs),
        "Normalizer" => Err(Refusal::new("it divides each feature by what all of them come to")),
        _ => return None,
    };
    Some(made.map(|columns| vec![Value::Columns(columns)]))
}

fn number_columns<'a>(inputs: &[Option<&'a Value>]) -> Result<&'a Columns, Refusal> {
    let columns = columns(inputs, 0)?;
    if columns.kind == Kind::Text { Err(Refusal::new("it computes with text")) } else { Ok(columns) }
}

/// `(x - offset) · scale`: doubles in 64 bits and then rounded, everything else in 32.
fn scaler(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = number_columns(inputs)?;
    let list = |name: &str| Ok::<_, Refusal>(node.floats(name).map_err(|error| told(&error))?.unwrap_or_default());
    let (offset, scale) = (list("offset")?, list("scale")?);
    if offset.is_empty() || offset.len() != scale.len() {
        return Err(Refusal::new("offset and scale are not as long as each other"));
    }
    let within = if columns.kind == Kind::F64 { Kind::F64 } else { Kind::F32 };
    let number = |list: &[f32], at: usize| Arc::new(Expr::number(f64::from(list.get(at).copied().unwrap_or_default())));
    let cells = columns.by_column(offset.len(), "scale")?.map(|(cell, at)| {
        let cell = Expr::one(One::As(within), cell)?;
        let moved = Expr::two(Two::Sub, within, &cell, &number(offset, at))?;
        let scaled = Expr::two(Two::Mul, within, &moved, &number(scale, at))?;
        if within == Kind::F64 { Expr::one(One::As(Kind::F32), &scaled) } else { Ok(scaled) }
    });
    let cells = cells.collect::<Result<_, _>>()?;
    Columns::new(Kind::F32, columns.dims.clone(), cells)
}

fn imputer(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = number_columns(inputs)?;
    let floats = node.floats("imputed_value_floats").map_err(|error| told(&error))?.unwrap_or_default();
    let ints = node.ints("imputed_value_int64s").map_err(|error| told(&error))?.unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "categories are small")]
    let (old, new): (f64, Vec<f64>) = if columns.kind == Kind::Int {
        let old = node.int("replaced_value_int64").map_err(|error| told(&error))?.unwrap_or(0);
        (old as f64, ints.iter().map(|number| *number as f64).collect())
    } else {
        let old = node.float("replaced_value_float").map_err(|error| told(&error))?.unwrap_or(0.0);
        (f64::from(old), floats.iter().copied().map(f64::from).collect())
    };
    let cells = columns.by_column(new.len(), "the list of values to put in")?;
    let cells = cells.map(|(cell, at)| Expr::one(One::Impute(old, new.get(at).copied().unwrap_or(f64::NAN)), cell));
    let cells = cells.collect::<Result<_, _>>()?;
    Columns::new(columns.kind, columns.dims.clone(), cells)
}

/// Every element becomes one column for each category. Of equal categories the last counts.
fn one_hot(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = columns(inputs, 0)?;
    let ints = node.ints("cats_int64s").map_err(|error| told(&error))?.unwrap_or_default();
    let texts = node.strings("cats_strings").map_err(|error| told(&error))?.unwrap_or_default();
    let wants_text = columns.kind == Kind::Text;
    if (wants_text && texts.is_empty()) || (!wants_text && ints.is_empty()) {
        return Err(Refusal::new("its categories are not of its input's type"));
    }
    let count = if wants_text { texts.len() } else { ints.len() };
    if columns.cells.len().saturating_mul(count) > super::value::COLUMNS_MAX {
        return Err(Refusal::new("it makes too many columns"));
    }
    let category = |at: usize| {
        let (text, int) = (texts.get(at), ints.get(at));
        let again = if wants_text {
            texts.iter().skip(at + 1).any(|other| Some(other) == text)
        } else {
            ints.iter().skip(at + 1).any(|other| Some(other) == int)
        };
        #[allow(clippy::cast_precision_loss, reason = "categories are small")]
        match (again, wants_text) {
            (true, _) => None,
            (false, true) => text.map(|text| One::IsText(text.to_vec())),
            (false, false) => int.map(|int| One::IsNumber(*int as f64)),
        }
    };
    let categories: Vec<Option<One>> = (0..count).map(category).collect();
    let mut cells = Vec::with_capacity(columns.cells.len() * count);
    for cell in &columns.cells {
        for category in &categories {
            cells.push(match category {
                Some(category) => Expr::one(category.clone(), cell)?,
                None => Arc::new(Expr::number(0.0)),
            });
        }
    }
    let mut dims = columns.dims.clone();
    dims.push(count);
    Columns::new(Kind::F32, dims, cells)
}

/// A list of keys or values, as an attribute of one of several names.
fn listed(node: &Node, prefix: &str) -> Result<(Kind, Vec<Entry>), Refusal> {
    let of = |error: candor_onnx::Error| told(&error);
    if let Some(texts) = node.strings(&format!("{prefix}_strings")).map_err(of)?.filter(|list| !list.is_empty()) {
        return Ok((Kind::Text, texts.iter().map(|text| Entry::Text(text.to_vec())).collect()));
    }
    #[allow(clippy::cast_precision_loss, reason = "categories are small")]
    if let Some(ints) = node.ints(&format!("{prefix}_int64s")).map_err(of)?.filter(|list| !list.is_empty()) {
        return Ok((Kind::Int, ints.iter().map(|int| Entry::Number(*int as f64)).collect()));
    }
    if let Some(floats) = node.floats(&format!("{prefix}_floats")).map_err(of)?.filter(|list| !list.is_empty()) {
        return Ok((Kind::F32, floats.iter().map(|float| Entry::Number(f64::from(*float))).collect()));
    }
    let Some(tensor) = node.tensor(&format!("{prefix}_tensor")).map_err(of)? else {
        return Err(Refusal::new(format!("it has no list of {prefix}")));
    };
    let kind = super::value::kind(tensor.data_type)?;
    let fixed = super::value::Fixed::of(tensor)?;
    if kind == Kind::Text {
        let texts = tensor.strings().map_err(of)?;
        return Ok((kind, texts.iter().map(|text| Entry::Text(text.to_vec())).collect()));
    }
    Ok((kind, fixed.numbers.into_iter().map(Entry::Number).collect()))
}

/// Keys to values. Of equal keys the first counts; NaN is a key from version 4 on.
fn label_encoder(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = columns(inputs, 0)?;
    let of = |error: candor_onnx::Error| told(&error);
    let classes = node.strings("classes_strings").map_err(of)?.filter(|list| !list.is_empty());
    let (keys, (kind, mut values)) = if let Some(classes) = classes {
        let texts: Vec<Entry> = classes.iter().map(|text| Entry::Text(text.to_vec())).collect();
        #[allow(clippy::cast_precision_loss, reason = "categories are small")]
        let numbers: Vec<Entry> = (0..texts.len()).map(|at| Entry::Number(at as f64)).collect();
        if columns.kind == Kind::Text { (texts, (Kind::Int, numbers)) } else { (numbers, (Kind::Text, texts)) }
    } else {
        (listed(node, "keys")?.1, listed(node, "values")?)
    };
    if keys.len() != values.len() {
        return Err(Refusal::new("it has not as many values as keys"));
    }
    let takes_text = matches!(keys.first(), Some(Entry::Text(_)));
    if takes_text != (columns.kind == Kind::Text) {
        return Err(Refusal::new("its keys are not of its input's type"));
    }
    values.push(default_of(node, kind)?);
    let has_nan = node.opset.unwrap_or(1) >= 4;
    let (mut texts, mut numbers) = (HashMap::new(), HashMap::new());
    for (at, key_of) in keys.into_iter().enumerate() {
        match key_of {
            Entry::Text(text) => {
                texts.entry(text).or_insert(at);
            }
            Entry::Number(number) if has_nan || !number.is_nan() => {
                numbers.entry(key(number)).or_insert(at);
            }
            Entry::Number(_) => {}
        }
    }
    let table = Arc::new(Table { texts, numbers, values });
    columns.each(kind, |cell| Expr::one(One::Mapped(Arc::clone(&table)), cell))
}

/// What becomes of what has no key.
fn default_of(node: &Node, kind: Kind) -> Result<Entry, Refusal> {
    let of = |error: candor_onnx::Error| told(&error);
    if let Some(tensor) = node.tensor("default_tensor").map_err(of)? {
        if tensor.data_type == DataType::String {
            return Ok(Entry::Text(
                tensor.strings().map_err(of)?.first().map(|text| text.to_vec()).unwrap_or_default(),
            ));
        }
        let first = super::value::Fixed::of(tensor)?.numbers.first().copied();
        return first.map(Entry::Number).ok_or_else(|| Refusal::new("default_tensor has no element"));
    }
    #[allow(clippy::cast_precision_loss, reason = "categories are small")]
    Ok(match kind {
        Kind::Text => {
            let text = node.text("default_string").map_err(of)?.unwrap_or("_Unused");
            Entry::Text(text.as_bytes().to_vec())
        }
        Kind::F32 | Kind::F64 => Entry::Number(f64::from(node.float("default_float").map_err(of)?.unwrap_or(-0.0))),
        Kind::Int | Kind::Bool => Entry::Number(node.int("default_int64").map_err(of)?.unwrap_or(-1) as f64),
    })
}

/// Elements of the last dimension.
fn extractor(inputs: &[Option<&Value>]) -> Made {
    let (columns, picks) = (columns(inputs, 0)?, fixed(inputs, 1)?);
    let last = columns.dims.len().checked_sub(1).ok_or_else(|| Refusal::new("it picks from rows"))?;
    columns.picked(last, &positions(&picks.integers(), columns.width())?)
}

fn vectorizer(inputs: &[Option<&Value>]) -> Made {
    let mut cells = Vec::new();
    for at in 0..inputs.len() {
        let columns = columns(inputs, at)?;
        if columns.kind == Kind::Text {
            return Err(Refusal::new("it computes with text"));
        }
        for cell in &columns.cells {
            cells.push(Expr::one(One::As(Kind::F32), cell)?);
        }
    }
    Columns::new(Kind::F32, vec![cells.len()], cells)
}

fn binarizer(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = number_columns(inputs)?;
    let threshold = node.float("threshold").map_err(|error| told(&error))?.unwrap_or(0.0);
    columns.each(columns.kind, |cell| Expr::one(One::Above(f64::from(threshold)), cell))
}
