//! What a version takes and gives, and the check of a request's tensors against it.
//!
//! The check comes after decoding and before the engine, so that an engine never sees a tensor that its
//! graph does not declare, and the caller reads what was wrong by name.

use std::{fmt, sync::Arc};

use crate::{
    error::{Error, Result},
    tensor::{Datatype, Shape, Tensor},
};

/// A declared dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always this size.
    Fixed(i64),
    /// Any size; dimensions with the same symbol have the same size within one request.
    Any(Option<Arc<str>>),
}

impl Dim {
    /// The size on the wire, −1 standing for "any".
    #[must_use]
    pub const fn wire(&self) -> i64 {
        match self {
            Self::Fixed(size) => *size,
            Self::Any(_) => -1,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Any(Some(symbol)) => f.write_str(symbol),
            Self::Any(None) => f.write_str("?"),
        }
    }
}

/// A declared input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: Arc<str>,
    /// Element type.
    pub datatype: Datatype,
    /// Dimensions; `None` when the graph does not even declare a rank.
    pub dims: Option<Vec<Dim>>,
}

impl TensorSpec {
    /// The shape as metadata shows it; `[-1]` when the rank is unknown.
    #[must_use]
    pub fn wire_shape(&self) -> Vec<i64> {
        self.dims.as_ref().map_or_else(|| vec![-1], |dims| dims.iter().map(Dim::wire).collect())
    }

    /// Why what is `given` cannot be what this takes, if it never can; sizes that are free on one side are left to
    /// the run.
    ///
    /// # Errors
    /// `InvalidModel` with both sides.
    pub fn takes(&self, given: &Self) -> Result<()> {
        if self.datatype != given.datatype {
            return Err(Error::model("the datatypes differ").expected(self.datatype.name()).got(given.datatype.name()));
        }
        let (Some(own), Some(others)) = (&self.dims, &given.dims) else { return Ok(()) };
        let apart = |(own, other): (&Dim, &Dim)| matches!((own, other), (Dim::Fixed(a), Dim::Fixed(b)) if a != b);
        if own.len() != others.len() || own.iter().zip(others).any(apart) {
            return Err(Error::model("the shapes differ").expected(self.shape_text()).got(given.shape_text()));
        }
        Ok(())
    }

    /// What both say of the same tensor, the narrower of the two in each dimension.
    #[must_use]
    pub fn narrowed(mut self, other: &Self) -> Self {
        match (&mut self.dims, &other.dims) {
            (Some(own), Some(others)) => {
                for (own, other) in own.iter_mut().zip(others) {
                    if matches!(own, Dim::Any(None)) || matches!((&own, other), (Dim::Any(_), Dim::Fixed(_))) {
                        *own = other.clone();
                    }
                }
            }
            (None, Some(others)) => self.dims = Some(others.clone()),
            (Some(_) | None, None) => {}
        }
        self
    }

    /// Its dimensions, for people.
    #[must_use]
    pub fn shape_text(&self) -> String {
        let Some(dims) = &self.dims else { return "any shape".to_owned() };
        let dims: Vec<_> = dims.iter().map(Dim::to_string).collect();
        format!("[{}]", dims.join(", "))
    }

    /// Whether the first dimension is free, so that it can count rows.
    #[must_use]
    pub fn has_batch_dim(&self) -> bool {
        matches!(self.dims.as_deref(), Some([Dim::Any(_), ..]))
    }

    /// Checks one tensor's datatype and shape.
    fn check<'a>(&'a self, datatype: Datatype, shape: &Shape, symbols: &mut Symbols<'a>) -> Result<()> {
        if datatype != self.datatype {
            return Err(Error::invalid(format!("input '{}' has the wrong datatype", self.name))
                .expected(self.datatype.name())
                .got(datatype.name()));
        }
        let Some(dims) = &self.dims else { return Ok(()) };
        let wrong = |what: &str| {
            Error::invalid(format!("input '{}' has the wrong {what}", self.name))
                .expected(self.shape_text())
                .got(shape.to_string())
        };
        if shape.rank() != dims.len() {
            let wrong = wrong("number of dimensions");
            return Err(if shape.rank() + 1 == dims.len() && self.has_batch_dim() {
                wrong.hint("the first dimension counts rows: send shape [1, …] for a single row")
            } else {
                wrong
            });
        }
        for (dim, &size) in dims.iter().zip(shape.dims()) {
            match dim {
                Dim::Fixed(fixed) if *fixed != size => return Err(wrong("shape")),
                Dim::Any(Some(symbol)) => symbols.bind(symbol, size, &self.name)?,
                Dim::Fixed(_) | Dim::Any(None) => {}
            }
        }
        Ok(())
    }
}

/// Sizes that symbols have taken in this request.
#[derive(Default)]
struct Symbols<'a> {
    /// Most signatures have one, which is kept without an allocation.
    first: Option<(&'a str, i64, &'a str)>,
    more: Vec<(&'a str, i64, &'a str)>,
}

impl<'a> Symbols<'a> {
    fn bind(&mut self, symbol: &'a str, size: i64, input: &'a str) -> Result<()> {
        match self.first.iter().chain(&self.more).find(|(known, ..)| *known == symbol) {
            Some((_, bound, _)) if *bound == size => Ok(()),
            Some((_, bound, other)) => {
                Err(Error::invalid(format!("inputs '{other}' and '{input}' disagree in dimension '{symbol}'"))
                    .expected(bound.to_string())
                    .got(size.to_string()))
            }
            None => {
                match &mut self.first {
                    None => self.first = Some((symbol, size, input)),
                    Some(_) => self.more.push((symbol, size, input)),
                }
                Ok(())
            }
        }
    }
}

/// What a model allows beyond what its graph declares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestRules {
    /// Most rows in one request; `None` for no limit.
    pub batch_rows_max: Option<u64>,
    /// Whether tensors without elements are passed on. Off by default, because engines are known to end the
    /// whole process on them (ONNX Runtime 1.31.1 aborts in `GRU` and `LSTM`).
    pub empty_tensors: bool,
}

/// Declared inputs and outputs of a version, in graph order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What it takes.
    pub inputs: Vec<TensorSpec>,
    /// What it gives.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// Whether every input has a free first dimension, so that it counts rows.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        !self.inputs.is_empty() && self.inputs.iter().all(TensorSpec::has_batch_dim)
    }

    /// Whether rows say everything about the size of a request: no dimension is free but the first.
    #[must_use]
    pub fn rows_tell_size(&self) -> bool {
        let fixed =
            |dims: &[Dim]| dims.iter().skip(usize::from(self.is_batched())).all(|dim| matches!(dim, Dim::Fixed(_)));
        self.inputs.iter().all(|spec| spec.dims.as_deref().is_some_and(fixed))
    }

    /// Position of an input by name.
    #[must_use]
    pub fn input_index(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|spec| &*spec.name == name)
    }

    /// Position of an output by name.
    #[must_use]
    pub fn output_index(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|spec| &*spec.name == name)
    }

    /// Checks tensors that stand in signature order, and counts their rows (1 without a batch dimension).
    ///
    /// # Errors
    /// `InvalidInput` that names the input, what was expected and what came.
    pub fn check(&self, inputs: &[Tensor], rules: RequestRules) -> Result<u64> {
        let mut symbols = Symbols::default();
        for (spec, tensor) in self.inputs.iter().zip(inputs) {
            spec.check(tensor.datatype(), tensor.shape(), &mut symbols)?;
            if tensor.data().is_empty() && !rules.empty_tensors {
                return Err(Error::invalid(format!("input '{}' has no elements", spec.name))
                    .expected("every dimension to be 1 or more")
                    .got(tensor.shape().to_string())
                    .hint("a model that is known to take empty tensors says empty_tensors = true in its model.toml"));
            }
        }
        if inputs.len() != self.inputs.len() {
            return Err(Error::new(crate::ErrorCode::Internal, "the decoder gave a wrong number of inputs"));
        }
        if !self.is_batched() {
            return Ok(1);
        }
        let first_dim = inputs.first().and_then(|tensor| tensor.shape().dims().first()).copied();
        let rows = u64::try_from(first_dim.unwrap_or(1)).unwrap_or(0);
        match rules.batch_rows_max {
            Some(max) if rows > max => Err(Error::invalid("the request has more rows than this model takes at once")
                .expected(format!("at most {max} rows"))
                .got(format!("{rows} rows"))
                .hint("split the request")),
            _ => Ok(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::TensorData;

    fn one(datatype: Datatype, dims: Option<Vec<Dim>>) -> TensorSpec {
        TensorSpec { name: "x".into(), datatype, dims }
    }

    #[test]
    fn specs_that_can_never_be_the_same_tensor_are_told_apart_and_others_narrow_each_other() {
        let any = |symbol: Option<&str>| Dim::Any(symbol.map(Into::into));
        let rows = one(Datatype::Fp32, Some(vec![any(None), any(Some("width"))]));
        let four = one(Datatype::Fp32, Some(vec![any(Some("batch")), Dim::Fixed(4)]));
        let unknown = one(Datatype::Fp32, None);
        assert_eq!(rows.clone().narrowed(&four), four);
        assert_eq!(four.clone().narrowed(&rows), four);
        assert_eq!((unknown.clone().narrowed(&four), four.clone().narrowed(&unknown)), (four.clone(), four.clone()));
        assert!(rows.takes(&four).is_ok() && four.takes(&rows).is_ok() && four.takes(&unknown).is_ok());
        let five = one(Datatype::Fp32, Some(vec![any(None), Dim::Fixed(5)]));
        assert_eq!(four.takes(&five).unwrap_err().to_string(), "the shapes differ; expected [batch, 4], got [?, 5]");
        let long = one(Datatype::Int64, None);
        assert_eq!(four.takes(&long).unwrap_err().to_string(), "the datatypes differ; expected FP32, got INT64");
    }

    fn spec(name: &str, dims: Vec<Dim>) -> TensorSpec {
        TensorSpec { name: name.into(), datatype: Datatype::Fp32, dims: Some(dims) }
    }

    const RULES: RequestRules = RequestRules { batch_rows_max: Some(8), empty_tensors: false };

    fn two_inputs() -> Signature {
        let batch = || Dim::Any(Some("batch".into()));
        Signature { inputs: vec![spec("a", vec![batch(), Dim::Fixed(2)]), spec("b", vec![batch()])], outputs: vec![] }
    }

    fn zeros(dims: &[i64]) -> Tensor {
        let shape = Shape::new(dims).unwrap();
        Tensor::new(shape, TensorData::zeros(Datatype::Fp32, shape.elements())).unwrap()
    }

    fn refusal(a: &[i64], b: &[i64]) -> String {
        two_inputs().check(&[zeros(a), zeros(b)], RULES).unwrap_err().to_string()
    }

    #[test]
    fn rows_are_counted_and_bounded() {
        assert_eq!(two_inputs().check(&[zeros(&[3, 2]), zeros(&[3])], RULES).unwrap(), 3);
        let empty = RequestRules { empty_tensors: true, ..RULES };
        assert_eq!(two_inputs().check(&[zeros(&[0, 2]), zeros(&[0])], empty).unwrap(), 0);
        assert!(refusal(&[0, 2], &[0]).starts_with("input 'a' has no elements; expected every dimension"));
        assert_eq!(
            refusal(&[9, 2], &[9]),
            "the request has more rows than this model takes at once; expected at most 8 rows, got 9 rows; split the request"
        );
    }

    #[test]
    fn wrong_shapes_are_named() {
        assert_eq!(refusal(&[3, 4], &[3]), "input 'a' has the wrong shape; expected [batch, 2], got [3, 4]");
        assert_eq!(
            refusal(&[2], &[3]),
            "input 'a' has the wrong number of dimensions; expected [batch, 2], got [2]; \
             the first dimension counts rows: send shape [1, …] for a single row"
        );
        assert_eq!(refusal(&[3, 2], &[4]), "inputs 'a' and 'b' disagree in dimension 'batch'; expected 3, got 4");
    }

    #[test]
    fn rows_tell_the_size_only_where_nothing_else_is_free() {
        assert!(two_inputs().rows_tell_size());
        let with = |dims: Option<Vec<Dim>>| {
            let free = TensorSpec { name: "a".into(), datatype: Datatype::Fp32, dims };
            Signature { inputs: vec![free], outputs: vec![] }.rows_tell_size()
        };
        assert!(!with(Some(vec![Dim::Any(None), Dim::Any(None)])));
        assert!(!with(Some(vec![Dim::Fixed(1), Dim::Any(None)])));
        assert!(!with(None));
        assert!(with(Some(vec![Dim::Fixed(3)])));
    }

    #[test]
    fn wrong_datatype_is_named() {
        let shape = Shape::new(&[1]).unwrap();
        let wrong = Tensor::new(shape, TensorData::zeros(Datatype::Int64, 1)).unwrap();
        let error = two_inputs().check(&[zeros(&[1, 2]), wrong], RULES).unwrap_err();
        assert_eq!(error.to_string(), "input 'b' has the wrong datatype; expected FP32, got INT64");
    }
}
