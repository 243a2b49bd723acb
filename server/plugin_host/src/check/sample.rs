//! Inputs for checks: what they hold, and where they are put.
//!
//! Made of what a component tells of itself, or of what its kind says. It does not call anything.
#![allow(unsafe_code, reason = "strings lie as pointers in guarded memory")]

use candor_domain::{Datatype, Result, Shape, Signature, Tensor, TensorData, TensorSpec};
use candor_plugin_abi as abi;

use super::guard::Guarded;
use crate::values::{self, RANK_MAX};

/// Rows where any number goes, and the size of other dimensions.
const ROWS: i64 = 3;
const SIZE: i64 = 4;

/// A tensor to be given.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub name: String,
    pub datatype: Datatype,
    pub dims: Vec<i64>,
    /// The elements in C order; of strings their numbers.
    pub bytes: Vec<u8>,
}

/// Where a tensor's elements are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// Anywhere.
    Anywhere,
    /// Against the page behind, which nobody may touch; read-only.
    End,
    /// Against the page before; read-only.
    Start,
    /// One element further than memory is usually aligned to.
    Shifted,
    /// With an element between any two, which is nobody's business.
    Spread,
}

impl Sample {
    pub(super) fn new(name: &str, datatype: Datatype, dims: &[i64]) -> Self {
        let count: i64 = dims.iter().product();
        let number = |at: i64| bytes_of(datatype, at % 7 + 1);
        let bytes = (0..count).flat_map(number).collect();
        Self { name: name.to_owned(), datatype, dims: dims.to_vec(), bytes }
    }

    /// The same with other dimensions.
    pub(super) fn shaped(&self, dims: &[i64]) -> Self {
        Self::new(&self.name, self.datatype, dims)
    }

    /// The same with this number of rows.
    pub(super) fn rows(&self, rows: i64) -> Self {
        match self.dims.split_first() {
            Some((_, rest)) => self.shaped(&[&[rows], rest].concat()),
            None => self.clone(),
        }
    }

    /// The same as a tensor of the server's.
    pub(super) fn tensor(&self) -> Result<Tensor> {
        let elements = self.dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).product();
        let data = if self.datatype == Datatype::Bytes {
            TensorData::Bytes((0..elements).map(|at| format!("text {at}")).collect())
        } else {
            values::copied(self.datatype, elements, &self.bytes)?
        };
        Tensor::new(Shape::new(&self.dims)?, data)
    }

    /// The same with every element this one.
    pub(super) fn all(&self, element: &[u8]) -> Self {
        let count = self.bytes.len() / element.len().max(1);
        Self { bytes: element.repeat(count), ..self.clone() }
    }
}

fn bytes_of(datatype: Datatype, value: i64) -> Vec<u8> {
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let float = value as f64;
    let whole = value.to_le_bytes();
    let first = |count: usize| whole.get(..count).unwrap_or_default().to_vec();
    match datatype {
        Datatype::Bool => vec![u8::from(value % 2 == 0)],
        Datatype::Uint8 | Datatype::Int8 => first(1),
        Datatype::Uint16 | Datatype::Int16 => first(2),
        Datatype::Uint32 | Datatype::Int32 => first(4),
        Datatype::Uint64 | Datatype::Int64 | Datatype::Bytes => first(8),
        Datatype::Fp32 => (value as f32).to_le_bytes().to_vec(),
        Datatype::Fp64 => float.to_le_bytes().to_vec(),
        // The upper half of a float of 32 bits is the brain float of the same number.
        Datatype::Bf16 => (value as f32).to_le_bytes().get(2..).unwrap_or_default().to_vec(),
        // 1.0, whatever the number.
        Datatype::Fp16 => 0x3c00_u16.to_le_bytes().to_vec(),
    }
}

/// Inputs of a component: what it tells, or what its kind says.
pub(super) fn inputs(signature: Option<&Signature>, kind: &str) -> Vec<Sample> {
    let told = |spec: &TensorSpec| {
        let sizes = spec.dims.as_deref().unwrap_or_default();
        let size = |(at, dim): (usize, &candor_domain::Dim)| match dim.wire() {
            any if any < 0 => {
                if at == 0 {
                    ROWS
                } else {
                    SIZE
                }
            }
            fixed => fixed,
        };
        Sample::new(&spec.name, spec.datatype, &sizes.iter().enumerate().map(size).collect::<Vec<_>>())
    };
    if let Some(signature) = signature.filter(|signature| !signature.inputs.is_empty()) {
        return signature.inputs.iter().map(told).collect();
    }
    let x = || Sample::new("x", Datatype::Fp32, &[ROWS, SIZE]);
    match kind {
        "combiner" => ["y_0", "y_1"].map(|name| Sample { name: name.to_owned(), ..x() }).to_vec(),
        "resampler" => vec![x(), Sample::new("y", Datatype::Int64, &[ROWS])],
        _ => vec![x()],
    }
}

/// Values in guarded memory, for one call.
pub(super) struct Given {
    pub values: Vec<abi::Value>,
    memory: Vec<Guarded>,
    // What the values point to besides: sizes and steps of each.
    _dims: Vec<Vec<i64>>,
    _names: Vec<String>,
    _strings: Vec<Vec<String>>,
}

impl Given {
    pub(super) fn put(samples: &[Sample], spot: Spot) -> std::io::Result<Self> {
        let mut given = Self {
            values: Vec::new(),
            memory: Vec::new(),
            _dims: Vec::new(),
            _names: Vec::new(),
            _strings: Vec::new(),
        };
        for sample in samples {
            given.add(sample, spot)?;
        }
        Ok(given)
    }

    fn add(&mut self, sample: &Sample, spot: Spot) -> std::io::Result<()> {
        let dtype = values::dtype(sample.datatype);
        let size = dtype.bytes().unwrap_or(1);
        let mut bytes = sample.bytes.clone();
        if sample.datatype == Datatype::Bytes {
            let strings: Vec<String> = (0..bytes.len() / 8).map(|at| format!("text {at}")).collect();
            bytes = strings
                .iter()
                .flat_map(|text| {
                    [(text.as_ptr().addr() as u64).to_ne_bytes(), (text.len() as u64).to_ne_bytes()].concat()
                })
                .collect();
            self._strings.push(strings);
        }
        if spot == Spot::Spread {
            let between = vec![0xff; size];
            bytes = bytes.chunks(size).flat_map(|element| [element, &between].concat()).collect();
        }
        let shift = if spot == Spot::Shifted { size } else { 0 };
        let memory = Guarded::new(bytes.len() + shift, size.clamp(1, 8), spot != Spot::Start)?;
        memory.fill(&[vec![0; shift], bytes].concat());
        if matches!(spot, Spot::End | Spot::Start) {
            memory.seal()?;
        }
        let mut dims = vec![0; RANK_MAX];
        dims.iter_mut().zip(&sample.dims).for_each(|(slot, dim)| *slot = *dim);
        let wide = if spot == Spot::Spread { 2 } else { 1 };
        dims.extend(values::row_major(&sample.dims).map(|step| step * wide));
        let name = sample.name.clone();
        self.values.push(abi::Value {
            name: abi::Str::of(&name),
            t: abi::Tensor {
                data: memory.start().cast(),
                device: abi::Device::CPU,
                ndim: i32::try_from(sample.dims.len()).unwrap_or(0),
                dtype,
                shape: dims.as_ptr(),
                strides: dims.as_ptr().wrapping_add(RANK_MAX),
                byte_offset: shift as u64,
            },
            flags: 0,
            reserved: 0,
        });
        // A name keeps its bytes where they are when it is moved.
        self._names.push(name);
        self._dims.push(dims);
        self.memory.push(memory);
        Ok(())
    }
}

// SAFETY: everything behind the pointers is owned, and read only by those who are given them.
unsafe impl Sync for Given {}
