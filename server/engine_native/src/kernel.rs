//! What an operator is here: built once from its node, then run any number of times.
//!
//! `compile` hands a [`Build`] to the table in `kernels` and gets a [`Built`]; `plan` hands [`Args`] to the
//! [`Kernel`]. A kernel that cannot be built exactly as the specification says is refused, with
//! [`Build::unsupported`] and what was in the way.

use candor_domain::{Cancel, Datatype, Error, ErrorCode, Result, Tensor};
use candor_onnx::{Dim, Folder, Node};

use candor_engine_source::told;

use crate::workspace::Buffers;

/// An operator, ready to run.
pub(crate) trait Kernel: Send + Sync {
    /// Computes the outputs and pushes them to `made`: as many, in the order and of the datatypes that were
    /// promised when it was built. Vectors come from `buffers`.
    ///
    /// # Errors
    /// When the inputs do not fit the operator.
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()>;
}

/// What is known of an input when a kernel is built.
#[derive(Debug, Clone)]
pub(crate) struct Known<'a> {
    /// Its element type.
    pub(crate) datatype: Datatype,
    /// Its dimensions, where the file declares them or they follow.
    pub(crate) dims: Option<Vec<Dim>>,
    /// Its value, if it is a constant.
    pub(crate) constant: Option<&'a Tensor>,
}

/// A node and what is known of its inputs.
pub(crate) struct Build<'a> {
    /// The node; its domain is empty for ONNX's own.
    pub(crate) node: &'a Node,
    /// Version of the operator set.
    pub(crate) opset: i64,
    /// One per input of the node; none for one that is left out.
    pub(crate) inputs: Vec<Option<Known<'a>>>,
    /// Where data of tensors may lie that stand in attributes.
    pub(crate) folder: &'a Folder,
}

/// A kernel, and what it will make.
pub(crate) struct Built {
    pub(crate) kernel: Box<dyn Kernel>,
    /// Datatype of each output, and its dimensions as far as they are known.
    pub(crate) outputs: Vec<(Datatype, Option<Vec<Dim>>)>,
}

impl Built {
    /// A kernel with one output.
    pub(crate) fn one(kernel: impl Kernel + 'static, datatype: Datatype, dims: Option<Vec<Dim>>) -> Result<Self> {
        Ok(Self { kernel: Box::new(kernel), outputs: vec![(datatype, dims)] })
    }

    /// A function with one output.
    pub(crate) fn by(
        datatype: Datatype,
        dims: Option<Vec<Dim>>,
        run: impl Fn(&mut Args<'_>, &mut Buffers) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::one(By(run), datatype, dims)
    }
}

/// A function as a kernel.
struct By<F>(F);

impl<F: Fn(&mut Args<'_>, &mut Buffers) -> Result<Tensor> + Send + Sync> Kernel for By<F> {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        made.push(self.0(args, buffers)?);
        Ok(())
    }
}

impl<'a> Build<'a> {
    /// An input that must be there.
    ///
    /// # Errors
    /// `InvalidModel` when it is left out.
    pub(crate) fn input(&self, at: usize) -> Result<&Known<'a>> {
        self.optional(at).ok_or_else(|| Error::model(format!("input {at} is missing")))
    }

    /// An input, unless it is left out.
    pub(crate) fn optional(&self, at: usize) -> Option<&Known<'a>> {
        self.inputs.get(at).and_then(Option::as_ref)
    }

    /// Outputs that the node names.
    pub(crate) fn wants(&self, at: usize) -> bool {
        self.node.outputs.get(at).is_some_and(|name| !name.is_empty())
    }

    /// Size of an input's last dimension, if it is known.
    pub(crate) fn width(&self, at: usize) -> Option<u64> {
        match self.optional(at)?.dims.as_ref()?.last()? {
            Dim::Fixed(size) => Some(*size),
            Dim::Symbol(_) | Dim::Unknown => None,
        }
    }

    /// An integer attribute, or its default.
    ///
    /// # Errors
    /// `InvalidModel` when it is of another kind; so the others.
    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.node.int(name).map_err(|error| told(&error))?.unwrap_or(default))
    }

    /// An integer attribute as yes or no.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name, i64::from(default))? != 0)
    }

    /// A number attribute, or its default.
    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.node.float(name).map_err(|error| told(&error))?.unwrap_or(default))
    }

    /// A list of integers, if the node has it.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.node.ints(name).map_err(|error| told(&error))?.map(<[i64]>::to_vec))
    }

    /// A text attribute, or its default.
    pub(crate) fn text(&self, name: &str, default: &'static str) -> Result<&str> {
        Ok(self.node.text(name).map_err(|error| told(&error))?.unwrap_or(default))
    }

    /// A tensor attribute, if the node has it.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        let held = self.node.tensor(name).map_err(|error| told(&error))?;
        held.map(|held| crate::constants::tensor(held, self.folder)).transpose()
    }

    /// The refusal of a node that is right and that this engine does not run.
    pub(crate) fn unsupported(&self, why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::new(ErrorCode::Unsupported, why)
    }

    /// The refusal of an input's datatype.
    pub(crate) fn wrong_datatype(&self, at: usize, expected: &str) -> Error {
        let got = self.optional(at).map_or("none", |known| known.datatype.name());
        self.unsupported(format!("input {at} has a datatype that is not supported here")).expected(expected).got(got)
    }
}

/// Where an input of a step comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// An input of the session.
    Input(usize),
    /// A constant of the plan.
    Constant(usize),
    /// What an earlier step made; `last` when nothing after this step uses it.
    Slot { at: usize, last: bool },
}

/// The inputs of a step.
pub(crate) struct Args<'a> {
    pub(crate) sources: &'a [Option<Source>],
    pub(crate) inputs: &'a [Tensor],
    pub(crate) constants: &'a [Tensor],
    pub(crate) slots: &'a mut [Option<Tensor>],
    pub(crate) cancel: Option<&'a Cancel>,
}

impl Args<'_> {
    /// An input that must be there.
    ///
    /// # Errors
    /// `EngineFailed` when it is not: `compile` has checked that it is.
    pub(crate) fn get(&self, at: usize) -> Result<&Tensor> {
        self.optional(at).ok_or_else(|| lost(at))
    }

    /// An input, unless it is left out.
    pub(crate) fn optional(&self, at: usize) -> Option<&Tensor> {
        match self.source(at)? {
            Source::Input(at) => self.inputs.get(at),
            Source::Constant(at) => self.constants.get(at),
            Source::Slot { at, .. } => self.slots.get(at)?.as_ref(),
        }
    }

    /// An input of its own, to be changed in place: moved where nobody else needs it, copied elsewhere. Asks
    /// for one input at most once.
    ///
    /// # Errors
    /// As [`Args::get`].
    pub(crate) fn take(&mut self, at: usize) -> Result<Tensor> {
        if let Some(tensor) = self.moved(at) {
            return Ok(tensor);
        }
        self.get(at).cloned()
    }

    /// An input of its own, if nobody else needs it.
    pub(crate) fn moved(&mut self, at: usize) -> Option<Tensor> {
        let again = |source: &Option<Source>| {
            matches!((source, self.source(at)),
            (Some(Source::Slot { at: one, .. }), Some(Source::Slot { at: other, .. })) if *one == other)
        };
        if let Some(Source::Slot { at: slot, last: true }) = self.source(at)
            && self.sources.iter().filter(|source| again(source)).count() == 1
        {
            return self.slots.get_mut(slot).and_then(Option::take);
        }
        None
    }

    /// How many inputs the node has, those that are left out among them.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Ends a long computation that nobody waits for any more; to be asked now and then.
    ///
    /// # Errors
    /// `Cancelled` if so.
    pub(crate) fn go_on(&self) -> Result<()> {
        go_on(self.cancel)
    }

    fn source(&self, at: usize) -> Option<Source> {
        self.sources.get(at).copied().flatten()
    }
}

/// `Cancelled`, if so.
pub(crate) fn go_on(cancel: Option<&Cancel>) -> Result<()> {
    match cancel {
        Some(cancel) if cancel.is_cancelled() => Err(Error::new(ErrorCode::Cancelled, "the run was cancelled")),
        Some(_) | None => Ok(()),
    }
}

fn lost(at: usize) -> Error {
    Error::new(ErrorCode::EngineFailed, format!("input {at} of a step is not there"))
}
