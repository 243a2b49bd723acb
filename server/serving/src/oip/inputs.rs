//! Names, datatypes and shapes of a request, within limits; inputs in signature order.
//!
//! Errors say what was expected and what came; the door that asks adds the place.

use candor_domain::{Datatype, Error, Result, Shape, Signature, Tensor, TensorSpec, names::quoted};

/// What the tensors of a request may be.
#[derive(Debug, Clone)]
pub struct TensorLimits {
    /// Most elements of one tensor.
    pub elements_max: usize,
    /// Most dimensions of one tensor.
    pub rank_max: usize,
    /// Most inputs, or requested outputs, of one request.
    pub tensors_max: usize,
    /// Longest tensor name, request id, or parameter name or value.
    pub name_bytes_max: usize,
}

impl TensorLimits {
    /// A shape, if it is one and within the limits.
    ///
    /// # Errors
    /// `InvalidInput` with the limit.
    pub fn shape(&self, dims: &[i64]) -> Result<Shape> {
        if dims.len() > self.rank_max {
            return Err(Error::invalid("the tensor has too many dimensions")
                .expected(format!("at most {} (limits.tensor_rank_max)", self.rank_max))
                .got(dims.len().to_string()));
        }
        let shape = Shape::new(dims)?;
        if shape.elements() <= self.elements_max {
            return Ok(shape);
        }
        Err(Error::invalid("the tensor is too large")
            .expected(format!("at most {} elements (limits.tensor_elements_max)", self.elements_max))
            .got(format!("{shape}")))
    }

    /// Whether a name, an id or a parameter is short enough.
    ///
    /// # Errors
    /// `InvalidInput` with the limit.
    pub fn check_name(&self, text: &str) -> Result<()> {
        if text.len() <= self.name_bytes_max {
            return Ok(());
        }
        Err(Error::invalid("this is too long")
            .expected(format!("at most {} bytes (limits.name_bytes_max)", self.name_bytes_max))
            .got(format!("{} bytes", text.len())))
    }

    /// Whether there may be one tensor more than `count`.
    ///
    /// # Errors
    /// `InvalidInput` with the limit.
    pub fn check_count(&self, count: usize) -> Result<()> {
        if count < self.tensors_max {
            return Ok(());
        }
        Err(Error::invalid("there are too many tensors")
            .expected(format!("at most {} (limits.tensors_max)", self.tensors_max)))
    }
}

/// A datatype by its name.
///
/// # Errors
/// `InvalidInput` with those that there are.
pub fn datatype(name: &str) -> Result<Datatype> {
    Datatype::from_name(name).ok_or_else(|| {
        let known = Datatype::ALL.map(Datatype::name).join(", ");
        Error::invalid("there is no such datatype").expected(known).got(quoted(name))
    })
}

/// The place of an input in the signature.
///
/// # Errors
/// `InvalidInput` with those that there are.
pub fn input_index(signature: &Signature, name: &str) -> Result<usize> {
    let unknown = || Error::invalid("the model has no such input").expected(names(&signature.inputs)).got(quoted(name));
    signature.input_index(name).ok_or_else(unknown)
}

/// The place of an output in the signature.
///
/// # Errors
/// `InvalidInput` with those that there are.
pub fn output_index(signature: &Signature, name: &str) -> Result<usize> {
    let unknown =
        || Error::invalid("the model has no such output").expected(names(&signature.outputs)).got(quoted(name));
    signature.output_index(name).ok_or_else(unknown)
}

/// Names of tensors, for messages.
#[must_use]
pub fn names(specs: &[TensorSpec]) -> String {
    specs.iter().map(|spec| &*spec.name).collect::<Vec<_>>().join(", ")
}

/// Inputs as they come, put into signature order.
pub struct Inputs<'a> {
    specs: &'a [TensorSpec],
    placed: Vec<Option<Tensor>>,
}

impl<'a> Inputs<'a> {
    /// None yet.
    #[must_use]
    pub fn of(signature: &'a Signature) -> Self {
        Self { specs: &signature.inputs, placed: signature.inputs.iter().map(|_| None).collect() }
    }

    /// Puts an input at its place in the signature.
    pub fn put(&mut self, index: usize, tensor: Tensor) {
        if let Some(slot) = self.placed.get_mut(index) {
            *slot = Some(tensor);
        }
    }

    /// All of them, in signature order.
    ///
    /// # Errors
    /// `InvalidInput` that names one that is missing.
    pub fn all(self) -> Result<Vec<Tensor>> {
        let missing =
            |spec: &TensorSpec| Error::invalid(format!("input '{}' is missing", spec.name)).expected(names(self.specs));
        match self.placed.iter().zip(self.specs).find(|(tensor, _)| tensor.is_none()) {
            Some((_, spec)) => Err(missing(spec)),
            None => Ok(self.placed.into_iter().flatten().collect()),
        }
    }
}
