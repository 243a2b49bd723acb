//! Tensors between the shape that callers see and the one that the graph has, where `reshape` says that
//! the two differ. The elements stay as they are.

use candor_domain::{Cancel, Error, ErrorCode, Result, Session, Shape, Tensor};

/// One shape into the other: sizes that are fixed, and `None` where any size goes over.
#[derive(Debug, Clone)]
pub(super) struct Reshape {
    pub(super) from: Vec<Option<i64>>,
    pub(super) to: Vec<Option<i64>>,
}

impl Reshape {
    /// Whether every shape has exactly one counterpart with as many elements.
    pub(super) fn is_sound(&self) -> bool {
        let free = |dims: &[Option<i64>]| dims.iter().filter(|dim| dim.is_none()).count();
        let elements =
            |dims: &[Option<i64>]| dims.iter().flatten().try_fold(1_i64, |product, dim| product.checked_mul(*dim));
        free(&self.from) == free(&self.to)
            && elements(&self.from).is_some()
            && elements(&self.from) == elements(&self.to)
    }

    fn apply(&self, shape: &Shape) -> Result<Shape> {
        let wrong = || {
            Error::new(ErrorCode::EngineFailed, "a tensor has another shape than the graph declares")
                .got(shape.to_string())
        };
        if shape.rank() != self.from.len() {
            return Err(wrong());
        }
        let mut free = shape.dims().iter().zip(&self.from).filter(|(_, dim)| dim.is_none()).map(|(size, _)| *size);
        let dims: Option<Vec<i64>> = self.to.iter().map(|dim| dim.or_else(|| free.next())).collect();
        let shape = Shape::new(&dims.ok_or_else(wrong)?)?;
        Ok(shape)
    }
}

/// The reshapes of a version's inputs and outputs, in the graph's order.
#[derive(Debug, Clone, Default)]
pub struct Reshapes {
    pub(super) inputs: Vec<Option<Reshape>>,
    pub(super) outputs: Vec<Option<Reshape>>,
}

/// A session that takes and gives the shapes that callers see; the graph's own, until it is told others.
pub struct Reshaped {
    inner: Box<dyn Session>,
    reshapes: Reshapes,
}

impl Reshaped {
    /// Passes everything on as it comes.
    #[must_use]
    pub fn new(inner: Box<dyn Session>) -> Self {
        Self { inner, reshapes: Reshapes::default() }
    }

    /// From now on callers see other shapes.
    pub fn reshape(&mut self, reshapes: Reshapes) {
        self.reshapes = reshapes;
    }

    /// The session, without a layer that has nothing to do.
    #[must_use]
    pub fn into_session(self) -> Box<dyn Session> {
        let all_same = self.reshapes.inputs.iter().chain(&self.reshapes.outputs).all(Option::is_none);
        if all_same { self.inner } else { Box::new(self) }
    }
}

impl Session for Reshaped {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        let outputs = if self.reshapes.inputs.iter().all(Option::is_none) {
            self.inner.run(inputs, wanted, cancel)?
        } else {
            let inputs = inputs.iter().zip(&self.reshapes.inputs).map(|(input, reshape)| match reshape {
                Some(reshape) => Tensor::new(reshape.apply(input.shape())?, input.data().clone()),
                None => Ok(input.clone()),
            });
            self.inner.run(&inputs.collect::<Result<Vec<_>>>()?, wanted, cancel)?
        };
        let outputs = outputs.into_iter().zip(wanted).map(|(output, wanted)| {
            match self.reshapes.outputs.get(*wanted).and_then(Option::as_ref) {
                Some(reshape) => {
                    let (shape, data) = output.into_parts();
                    Tensor::new(reshape.apply(&shape)?, data)
                }
                None => Ok(output),
            }
        });
        outputs.collect()
    }
}
