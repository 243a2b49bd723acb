//! A model that a component calls during a call: leased, run on the component's own thread, counted.
//!
//! The calling thread is one that waits anyway; running there takes no place that another call could wait for, and a
//! limit on the depth keeps models from calling each other for ever.

use std::sync::Arc;

use candor_domain::{Cancel, Clock, Error, ErrorCode, Models, Result, Run, Tensor, Tick};

use super::{
    Source,
    ask::{Asking, Given},
};

/// The models that a component may call in one request.
pub(crate) struct Caller<'a> {
    source: &'a Arc<dyn Source>,
    clock: Arc<dyn Clock>,
    cancel: Option<&'a Cancel>,
    deadline: Option<Tick>,
    depth: u32,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(source: &'a Arc<dyn Source>, run: &Run<'a>) -> Self {
        let clock = Arc::clone(source.clock());
        Self { source, clock, cancel: run.cancel, deadline: run.deadline, depth: run.depth }
    }
}

impl Models for Caller<'_> {
    fn call(&self, model: &str, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let mut lease = self.source.lease(model, None)?;
        let find = |name: &str| inputs.iter().find(|(known, _)| *known == name);
        let own = lease.signature.inputs.iter().map(|spec| match find(&spec.name) {
            Some((_, tensor)) => Ok(tensor.clone()),
            None => Err(Error::invalid(format!("model '{model}' is not given its input '{}'", spec.name))),
        });
        let own = own.collect::<Result<Vec<_>>>()?;
        if let Some((name, _)) = inputs.iter().find(|(name, _)| lease.signature.input_index(name).is_none()) {
            return Err(Error::invalid(format!("model '{model}' has no input '{name}'")));
        }
        let names: Vec<String> = lease.signature.outputs.iter().map(|spec| spec.name.to_string()).collect();
        let wanted: Vec<usize> = (0..names.len()).collect();
        let never = Cancel::default();
        let cancel = self.cancel.unwrap_or(&never);
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "nobody waits for the answer any more"));
        }
        let asking = Asking { source: &**self.source, clock: &*self.clock, deadline: self.deadline, depth: self.depth };
        let (outputs, _) = asking.run(&mut lease, Given::Own(own), &wanted, cancel)?;
        Ok(names.into_iter().zip(outputs).collect())
    }
}
