//! A compiled graph: steps in order, constants, and where each output comes from. Runs it.
//!
//! Made by `compile`. Steps that the wanted outputs do not need are left out of a run.

use candor_domain::{Cancel, Error, ErrorCode, Result, Tensor};

use crate::{
    kernel::{Args, Kernel, Source, go_on},
    workspace::{Workspace, bounded_shape},
};

/// Everything that a session needs to run.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) constants: Vec<Tensor>,
    /// Values that steps make.
    pub(crate) slots: usize,
    /// Where each output comes from.
    pub(crate) outputs: Vec<Source>,
}

/// One use of an operator.
pub(crate) struct Step {
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) inputs: Vec<Option<Source>>,
    /// Slots of what it makes; none for what nobody uses.
    pub(crate) outputs: Vec<Option<usize>>,
    /// For each output of the graph, whether it needs this step.
    pub(crate) needed_for: Vec<bool>,
    /// The node, for messages.
    pub(crate) place: String,
}

impl Plan {
    /// Runs the steps that `wanted` needs.
    pub(crate) fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        inputs.iter().try_for_each(|input| bounded_shape(input.shape()))?;
        Workspace::with(|workspace| {
            workspace.begin(self.slots);
            let outputs = self.run_in(workspace, inputs, wanted, cancel);
            workspace.end();
            outputs
        })
    }

    fn run_in(
        &self,
        workspace: &mut Workspace,
        inputs: &[Tensor],
        wanted: &[usize],
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Tensor>> {
        let is_needed = |step: &&Step| wanted.iter().any(|output| step.needed_for.get(*output) == Some(&true));
        for step in self.steps.iter().filter(is_needed) {
            go_on(cancel)?;
            step.run(workspace, inputs, &self.constants, cancel).map_err(|error| {
                // The engine's own failures say where they happen by themselves.
                if error.code() == ErrorCode::InvalidInput { error.at(step.place.clone()) } else { error }
            })?;
        }
        go_on(cancel)?;
        let output = |(position, output): (usize, &usize)| {
            let source = self.outputs.get(*output).copied();
            let again = wanted.iter().skip(position + 1).any(|later| self.outputs.get(*later).copied() == source);
            let tensor = match source {
                Some(Source::Input(at)) => inputs.get(at).cloned(),
                Some(Source::Constant(at)) => self.constants.get(at).cloned(),
                Some(Source::Slot { at, .. }) if again => workspace.slots.get(at).cloned().flatten(),
                Some(Source::Slot { at, .. }) => workspace.slots.get_mut(at).and_then(Option::take),
                None => None,
            };
            tensor.ok_or_else(|| Error::new(ErrorCode::EngineFailed, format!("output {output} was not made")))
        };
        wanted.iter().enumerate().map(output).collect()
    }
}

impl Step {
    /// Runs the kernel, keeps what it makes, and takes back what was used for the last time.
    pub(crate) fn run(
        &self,
        workspace: &mut Workspace,
        inputs: &[Tensor],
        constants: &[Tensor],
        cancel: Option<&Cancel>,
    ) -> Result<()> {
        let Workspace { buffers, slots, made } = workspace;
        let mut args = Args { sources: &self.inputs, inputs, constants, slots, cancel };
        self.kernel.run(&mut args, buffers, made)?;
        for source in self.inputs.iter().flatten() {
            if let Source::Slot { at, last: true } = source
                && let Some(tensor) = slots.get_mut(*at).and_then(Option::take)
            {
                buffers.give_tensor(tensor);
            }
        }
        for (tensor, slot) in made.drain(..).zip(&self.outputs) {
            match slot.and_then(|slot| slots.get_mut(slot)) {
                Some(slot) => *slot = Some(tensor),
                None => buffers.give_tensor(tensor),
            }
        }
        Ok(())
    }
}
