//! Plans: with symbols for the sizes that are free, or of one shape each; and which of them runs.
//!
//! One plan with symbols serves every shape. Where tract cannot make one, or the first run of it fails
//! where a plan of exactly these shapes succeeds, the session makes a plan per shape and keeps the last
//! [`PINNED_MAX`]. No lock is held while anything runs; callers with the same new shape wait for one plan.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use candor_domain::{Cancel, Shape};
use tract_onnx::{
    prelude::{
        Datum as _, Graph, InferenceFact, InferenceModel, InferenceModelExt as _, SpecialOps as _, TDim, TValue, TVec,
        TractResult, TypedFact, TypedModel, TypedNode,
    },
    tract_core::{
        internal::{SimplePlan, TypedOp, anyhow, bail, ensure},
        ops::{
            cast::{Cast, cast},
            nn::{Reduce, Reducer},
        },
        plan,
    },
    tract_hir::infer::Factoid as _,
};

use crate::{
    guard::{Fault, guarded},
    values::find_foreign_float,
};

/// Plans of one shape that a session keeps. Each holds its own copy of the weights that tract repacks.
pub(crate) const PINNED_MAX: usize = 8;

/// A graph that is ready to run.
#[derive(Clone)]
pub(crate) struct Plan(Arc<SimplePlan<TypedFact, Box<dyn TypedOp>>>);

impl Plan {
    /// Plans `graph`, whose inputs are of these shapes: numbers, or symbols of the graph.
    ///
    /// # Errors
    /// What tract says, or that it panicked.
    pub(crate) fn new(graph: &InferenceModel, shapes: &[Vec<TDim>]) -> Result<Self, Fault> {
        guarded(|| {
            let mut graph = graph.clone();
            for (index, dims) in shapes.iter().enumerate() {
                let datum_type = graph.input_fact(index)?.datum_type.concretize();
                let datum_type = datum_type.ok_or_else(|| anyhow!("an input without a type"))?;
                graph.set_input_fact(index, InferenceFact::dt_shape(datum_type, dims.as_slice()))?;
            }
            let mut graph = graph.into_typed()?;
            // Sizes as outputs are formulas; numbers are wanted.
            let outputs = graph.output_outlets()?.to_vec();
            for (index, outlet) in outputs.iter().enumerate() {
                if graph.outlet_fact(*outlet)?.datum_type.is_tdim() {
                    let name = graph.unique_name("output").into_owned();
                    let cast = graph.wire_node(name, cast(i64::datum_type()), &[*outlet])?;
                    if let (Some(slot), Some(cast)) = (graph.outputs.get_mut(index), cast.first()) {
                        *slot = *cast;
                    }
                }
            }
            let graph = graph.into_optimized()?;
            check_symbols(&graph)?;
            Ok(Self(SimplePlan::new(graph)?))
        })
    }

    /// Types and shapes of the outputs; shapes may hold symbols.
    pub(crate) fn outputs(&self) -> Result<Vec<TypedFact>, Fault> {
        let graph: &Graph<_, _> = self.0.model();
        guarded(|| graph.output_outlets()?.iter().map(|outlet| graph.outlet_fact(*outlet).cloned()).collect())
    }

    /// Runs it, looking between operators whether somebody still waits.
    fn run(&self, inputs: TVec<TValue>, cancel: Option<&Cancel>) -> Result<TVec<TValue>, Fault> {
        guarded(|| {
            self.0.spawn()?.run_plan_with_eval(inputs, |context, state, node, inputs| {
                if cancel.is_some_and(Cancel::is_cancelled) {
                    bail!("cancelled");
                }
                check_cast(node, &inputs)?;
                let outputs = plan::eval(context, state, node, inputs)?;
                check_extreme(node, &outputs)?;
                TractResult::Ok(outputs)
            })
        })
    }
}

/// Refuses a graph with sizes that no run could resolve: tract forgot what they belong to.
fn check_symbols(graph: &TypedModel) -> TractResult<()> {
    for node in graph.nodes() {
        let mut sizes = node.outputs.iter().flat_map(|output| output.fact.shape.iter());
        let lost = sizes.any(|size| size.symbols().iter().any(|symbol| symbol.scope().is_none()));
        ensure!(!lost, "{}: the size of what it makes is not known before it runs", node.name);
    }
    Ok(())
}

/// Refuses to make sizes of numbers beyond 32 bits, which tract would cut.
fn check_cast(node: &TypedNode, inputs: &[TValue]) -> TractResult<()> {
    let Some(Cast { to }) = node.op_as::<Cast>() else { return Ok(()) };
    let Some(input) = inputs.first().filter(|input| to.is_tdim() && !input.datum_type().is_tdim()) else {
        return Ok(());
    };
    let exact = input.cast_to::<f64>()?;
    let narrow = f64::from(i32::MIN)..=f64::from(i32::MAX);
    let fits = exact.try_as_plain_ram()?.as_slice::<f64>()?.iter().all(|number| narrow.contains(number));
    ensure!(fits, "{}: tract casts to INT64 by way of 32 bits, and a number is larger", node.name);
    Ok(())
}

/// Refuses the largest of nothing, or of negative infinities alone: tract begins at the lowest finite number.
fn check_extreme(node: &TypedNode, outputs: &[TValue]) -> TractResult<()> {
    let begin = match node.op_as::<Reduce>().map(|reduce| reduce.reducer) {
        Some(Reducer::Max) => (f32::MIN, f64::MIN),
        Some(Reducer::Min) => (f32::MAX, f64::MAX),
        _ => return Ok(()),
    };
    let is_begin = |number| number == begin.1 || number == f64::from(begin.0);
    let found = outputs.iter().find_map(|output| find_foreign_float(output, |number| is_begin(number).then_some(())));
    ensure!(found.is_none(), "{}: tract does not tell an infinity from the last finite number", node.name);
    Ok(())
}

/// The plans of one session.
pub(crate) struct Plans {
    /// What plans of one shape are made of.
    graph: InferenceModel,
    symbolic: Option<Plan>,
    /// Whether the plan with symbols has answered: from then on its errors are those of the request.
    proven: AtomicBool,
    /// Whether plans of one shape run instead of it.
    pins: AtomicBool,
    pinned: Mutex<Vec<Pinned>>,
}

/// A plan of one shape, made by whoever asks first. The last used stands last.
type Pinned = (Vec<Shape>, Arc<OnceLock<Result<Plan, Fault>>>);

impl Plans {
    /// `symbolic` is a plan for any shape, if there is one.
    pub(crate) fn new(graph: InferenceModel, symbolic: Option<Plan>) -> Self {
        let pins = AtomicBool::new(symbolic.is_none());
        Self { graph, symbolic, proven: AtomicBool::new(false), pins, pinned: Mutex::default() }
    }

    /// Runs the plan for these inputs, whose shapes are `shapes`.
    ///
    /// # Errors
    /// What tract says.
    pub(crate) fn run(
        &self,
        inputs: &TVec<TValue>,
        shapes: &[Shape],
        cancel: Option<&Cancel>,
    ) -> Result<TVec<TValue>, Fault> {
        let symbolic = self.symbolic.as_ref().filter(|_| !self.pins.load(Ordering::Relaxed));
        let Some(symbolic) = symbolic else { return self.run_pinned(inputs, shapes, cancel) };
        let failed = match symbolic.run(inputs.clone(), cancel) {
            Ok(outputs) => {
                self.proven.store(true, Ordering::Relaxed);
                return Ok(outputs);
            }
            Err(failed) => failed,
        };
        if self.proven.load(Ordering::Relaxed) || cancel.is_some_and(Cancel::is_cancelled) {
            return Err(failed);
        }
        let outputs = self.run_pinned(inputs, shapes, cancel).map_err(|_| failed)?;
        self.pins.store(true, Ordering::Relaxed);
        Ok(outputs)
    }

    fn run_pinned(
        &self,
        inputs: &TVec<TValue>,
        shapes: &[Shape],
        cancel: Option<&Cancel>,
    ) -> Result<TVec<TValue>, Fault> {
        let make = || {
            let fixed = |shape: &Shape| shape.dims().iter().copied().map(TDim::Val).collect();
            Plan::new(&self.graph, &shapes.iter().map(fixed).collect::<Vec<_>>())
        };
        self.pinned(shapes).get_or_init(make).clone()?.run(inputs.clone(), cancel)
    }

    /// The place of the plan for these shapes, filled or not.
    fn pinned(&self, shapes: &[Shape]) -> Arc<OnceLock<Result<Plan, Fault>>> {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pinned.iter().position(|(of, _)| of == shapes);
        let found = known.map_or_else(|| (shapes.to_vec(), Arc::default()), |at| pinned.remove(at));
        if pinned.len() >= PINNED_MAX {
            pinned.remove(0);
        }
        let place = Arc::clone(&found.1);
        pinned.push(found);
        place
    }
}

#[cfg(test)]
mod tests {
    use candor_domain::{ModelSource, Tensor, TensorData};

    use super::*;
    use crate::{file, values::to_tract};

    #[test]
    fn no_more_plans_of_one_shape_are_kept_than_they_may_and_each_answers_for_its_shape() {
        let bytes = include_bytes!("../tests/fixtures/by_shape.onnx");
        let tract = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
        let source = ModelSource { bytes, folder: std::path::Path::new(".") };
        let graph = file::parse(&file::read(source, &tract).unwrap(), &tract).unwrap();
        let plans = Plans::new(graph, None);
        for length in (1..=2 * PINNED_MAX).chain(1..3) {
            let numbers = (0..4 * length).map(|number| number as f32).collect();
            let shape = Shape::new(&[4 * length as i64]).unwrap();
            let x = to_tract(&Tensor::new(shape, TensorData::Fp32(numbers)).unwrap()).unwrap();
            let outputs = plans.run(&[x].into_iter().collect(), &[shape], None).unwrap();
            let y = outputs.first().unwrap();
            assert_eq!(y.shape(), [2, length]);
            // The left half of each row less the right one.
            assert_eq!(find_foreign_float(y, Some), Some(-(length as f64)));
            assert!(plans.pinned.lock().unwrap().len() <= PINNED_MAX);
        }
    }
}
