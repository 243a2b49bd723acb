//! `LabelEncoder` and `CategoryMapper`: every element becomes what a table says.

use candor_domain::{Datatype, Error, Result, Tensor, TensorData};
use candor_onnx::{Bytes, DataType};

use candor_engine_source::told;

use super::{
    attributes::{bytes, float, floats, int, ints, strings, tensor},
    table::{Repeated, Table, Values, key32, key64},
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    kernels::standard::moves::Strings,
    workspace::{Buffers, Pooled, room},
};

/// `LabelEncoder` of all versions: 1 maps a list's strings to their positions or back, 2 and 4 map keys to
/// values.
pub(super) fn label_encoder(build: &Build<'_>) -> Result<Built> {
    if build.opset < 2 { positions(build) } else { keys_to_values(build) }
}

/// `CategoryMapper`: strings to integers or back, as the input is.
pub(super) fn category_mapper(build: &Build<'_>) -> Result<Built> {
    let texts = strings(build, "cats_strings")?;
    let ints = ints(build, "cats_int64s")?;
    same_length(("cats_int64s", ints.len()), ("cats_strings", texts.len()))?;
    both_ways(build, texts, ints)
}

fn positions(build: &Build<'_>) -> Result<Built> {
    let texts = strings(build, "classes_strings")?;
    let places: Vec<i64> = (0..).take(texts.len()).collect();
    both_ways(build, texts, &places)
}

/// Strings to integers, or integers to strings, whichever the input is.
fn both_ways(build: &Build<'_>, texts: &[Bytes], ints: &[i64]) -> Result<Built> {
    let default_int = int(build, "default_int64", -1)?;
    let default_text = default_string(build)?;
    // ONNX Runtime lets the last of equal keys count.
    let (table, values) = match build.input(0)?.datatype {
        Datatype::Bytes => (
            Table::of_strings(texts.iter().map(|text| &**text), Repeated::Last)?,
            Values::I64(ints.iter().copied().chain([default_int]).collect()),
        ),
        Datatype::Int64 => (
            Table::of_ints(ints.iter().copied().map(Some), Repeated::Last)?,
            Values::Strings(texts.iter().map(|text| &**text).chain([default_text]).collect()),
        ),
        Datatype::Bool
        | Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Fp16
        | Datatype::Bf16
        | Datatype::Fp32
        | Datatype::Fp64 => return Err(build.wrong_datatype(0, "BYTES or INT64")),
    };
    built(build, Mapping { table, values })
}

fn keys_to_values(build: &Build<'_>) -> Result<Built> {
    let (keys, values) = (List::of(build, "keys")?, List::of(build, "values")?);
    same_length(("values", values.len()), ("keys", keys.len()))?;
    let known = build.input(0)?;
    if keys.datatype() != known.datatype {
        return Err(Error::model("the keys are of another datatype than the input")
            .expected(known.datatype.name())
            .got(keys.datatype().name()));
    }
    let table = keys.into_table(build.opset)?;
    let values = values.with_default(build)?;
    built(build, Mapping { table, values })
}

fn built(build: &Build<'_>, mapping: Mapping) -> Result<Built> {
    let datatype = mapping.values.datatype();
    Built::one(mapping, datatype, build.input(0)?.dims.clone())
}

fn same_length((name, length): (&str, usize), (other, expected): (&str, usize)) -> Result<()> {
    if length == expected {
        return Ok(());
    }
    Err(Error::model(format!("{name} and {other} are not equally long"))
        .expected(format!("{expected} each"))
        .got(length.to_string()))
}

fn default_string<'a>(build: &Build<'a>) -> Result<&'a [u8]> {
    bytes(build, "default_string", b"_Unused")
}

/// `keys_*` or `values_*`.
enum List<'a> {
    I64(Vec<i64>),
    I32(Vec<i32>),
    I16(Vec<i16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Strings(&'a [Bytes]),
}

impl<'a> List<'a> {
    /// The one attribute that is given.
    fn of(build: &Build<'a>, prefix: &str) -> Result<Self> {
        let mut given = vec![
            Self::I64(ints(build, &format!("{prefix}_int64s"))?.to_vec()),
            Self::F32(floats(build, &format!("{prefix}_floats"))?.to_vec()),
            Self::Strings(strings(build, &format!("{prefix}_strings"))?),
        ];
        given.extend(tensor(build, &format!("{prefix}_tensor"))?.map(Self::of_tensor).transpose()?);
        given.retain(|list| list.len() > 0);
        let count = given.len();
        given.pop().filter(|_| count == 1).ok_or_else(|| {
            Error::model(format!("the operator needs one list of {prefix}"))
                .expected(format!("one of {prefix}_int64s, {prefix}_floats, {prefix}_strings, {prefix}_tensor"))
                .got(count.to_string())
        })
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the specification allows these six")]
    fn of_tensor(tensor: &'a candor_onnx::Tensor) -> Result<Self> {
        Ok(match tensor.data_type {
            DataType::Int64 => Self::I64(tensor.values().map_err(|error| told(&error))?.into_owned()),
            DataType::Int32 => Self::I32(tensor.values().map_err(|error| told(&error))?.into_owned()),
            DataType::Int16 => Self::I16(tensor.values().map_err(|error| told(&error))?.into_owned()),
            DataType::Float => Self::F32(tensor.values().map_err(|error| told(&error))?.into_owned()),
            DataType::Double => Self::F64(tensor.values().map_err(|error| told(&error))?.into_owned()),
            DataType::String => Self::Strings(tensor.strings().map_err(|error| told(&error))?),
            other => {
                return Err(Error::model("a list of the operator is of a type that it cannot have")
                    .expected("string, int64, float, int32, int16 or double")
                    .got(other.to_string()));
            }
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::I64(list) => list.len(),
            Self::I32(list) => list.len(),
            Self::I16(list) => list.len(),
            Self::F32(list) => list.len(),
            Self::F64(list) => list.len(),
            Self::Strings(list) => list.len(),
        }
    }

    fn datatype(&self) -> Datatype {
        match self {
            Self::I64(_) => Datatype::Int64,
            Self::I32(_) => Datatype::Int32,
            Self::I16(_) => Datatype::Int16,
            Self::F32(_) => Datatype::Fp32,
            Self::F64(_) => Datatype::Fp64,
            Self::Strings(_) => Datatype::Bytes,
        }
    }

    /// ONNX Runtime lets the first of equal keys count, though version 4 says that it is the last. And with
    /// it no NaN equals another before version 4, though version 2 speaks of comparing bits.
    fn into_table(self, opset: i64) -> Result<Table> {
        let first = Repeated::First;
        let has_nan = opset >= 4;
        match self {
            Self::I64(list) => Table::of_ints(list.into_iter().map(Some), first),
            Self::I32(list) => Table::of_ints(list.into_iter().map(|key| Some(i64::from(key))), first),
            Self::I16(list) => Table::of_ints(list.into_iter().map(|key| Some(i64::from(key))), first),
            Self::F32(list) => {
                Table::of_ints(list.into_iter().map(|key| (has_nan || !key.is_nan()).then(|| key32(key))), first)
            }
            Self::F64(list) => {
                Table::of_ints(list.into_iter().map(|key| (has_nan || !key.is_nan()).then(|| key64(key))), first)
            }
            Self::Strings(list) => Table::of_strings(list.iter().map(|text| &**text), first),
        }
    }

    /// The values and the default of their type behind them. `default_tensor` goes before the others; for
    /// types without a default of their own there is nothing but it.
    fn with_default(self, build: &Build<'_>) -> Result<Values> {
        fn one<T: Copy>(list: &[T]) -> Result<T> {
            let error = || Error::model("default_tensor has no element");
            list.first().copied().ok_or_else(error)
        }
        let given = tensor(build, "default_tensor")?.map(List::of_tensor).transpose()?;
        if let Some(other) = given.as_ref().filter(|given| given.datatype() != self.datatype()) {
            return Err(Error::model("default_tensor is of another type than the values")
                .expected(self.datatype().name())
                .got(other.datatype().name()));
        }
        let (int, float) = (int(build, "default_int64", -1)?, float(build, "default_float", -0.0)?);
        Ok(match (self, given) {
            (Self::I64(list), Some(List::I64(given))) => Values::I64(behind(list, one(&given)?)),
            (Self::I32(list), Some(List::I32(given))) => Values::I32(behind(list, one(&given)?)),
            (Self::I16(list), Some(List::I16(given))) => Values::I16(behind(list, one(&given)?)),
            (Self::F32(list), Some(List::F32(given))) => Values::F32(behind(list, one(&given)?)),
            (Self::F64(list), Some(List::F64(given))) => Values::F64(behind(list, one(&given)?)),
            (Self::I64(list), _) => Values::I64(behind(list, int)),
            (Self::I32(list), _) => Values::I32(behind(list, -1)),
            (Self::I16(list), _) => Values::I16(behind(list, -1)),
            (Self::F32(list), _) => Values::F32(behind(list, float)),
            (Self::F64(list), _) => Values::F64(behind(list, -0.0)),
            (Self::Strings(list), given) => {
                let default = match given {
                    Some(List::Strings(given)) => given
                        .first()
                        .map(|text| &**text)
                        .ok_or_else(|| Error::model("default_tensor has no element"))?,
                    Some(_) | None => default_string(build)?,
                };
                Values::Strings(list.iter().map(|text| &**text).chain([default]).collect())
            }
        })
    }
}

fn behind<T>(mut list: Vec<T>, last: T) -> Vec<T> {
    list.push(last);
    list
}

struct Mapping {
    table: Table,
    values: Values,
}

impl Mapping {
    fn picked<T: Copy>(&self, values: &[T], data: &TensorData, mut mapped: Vec<T>) -> Result<Vec<T>> {
        let other = self.values.len();
        self.table.find_all(data, |at| mapped.extend(values.get(at.unwrap_or(other))))?;
        Ok(mapped)
    }

    fn pooled<T: Pooled>(&self, values: &[T], data: &TensorData, buffers: &mut Buffers) -> Result<Vec<T>> {
        self.picked(values, data, buffers.take(data.len())?)
    }
}

impl Kernel for Mapping {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let tensor = args.get(0)?;
        let data = tensor.data();
        let mapped = match &self.values {
            Values::I64(values) => TensorData::Int64(self.pooled(values, data, buffers)?),
            Values::I32(values) => TensorData::Int32(self.pooled(values, data, buffers)?),
            Values::F32(values) => TensorData::Fp32(self.pooled(values, data, buffers)?),
            Values::F64(values) => TensorData::Fp64(self.pooled(values, data, buffers)?),
            Values::I16(values) => {
                let mut mapped = Vec::new();
                room(&mut mapped, data.len())?;
                TensorData::Int16(self.picked(values, data, mapped)?)
            }
            Values::Strings(values) => {
                let (other, mut mapped) = (self.values.len(), Strings::of(data.len())?);
                let mut fit = Ok(());
                self.table.find_all(data, |at| {
                    if fit.is_ok() {
                        fit = mapped.push(values.get(at.unwrap_or(other)).unwrap_or_default());
                    }
                })?;
                fit?;
                TensorData::Bytes(mapped.done())
            }
        };
        made.push(Tensor::new(*tensor.shape(), mapped)?);
        Ok(())
    }
}
