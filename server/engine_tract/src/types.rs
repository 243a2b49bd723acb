//! Types of the values within a graph, and numbers that it must not hold.

use candor_domain::{Dim, Result, TensorSpec};
use candor_onnx::Graph;
use tract_onnx::{
    prelude::{InferenceFact, InferenceModel, InferenceModelExt as _, TDim},
    tract_core::ops::konst::Const,
    tract_hir::infer::{Factoid as _, GenericFactoid, ShapeFactoid},
};

use crate::{
    guard::{Fault, guarded, unsupported},
    operators::{Careless, TypesByName},
    values::{datatype, datum, find_foreign_float},
};

/// What tract infers from the types of the inputs and the sizes that the file fixes; free sizes stay open.
///
/// # Errors
/// What tract says, when it does not even take the inputs.
pub(crate) fn analysed(graph: &InferenceModel, inputs: &[TensorSpec]) -> Result<InferenceModel, Fault> {
    guarded(|| {
        let mut graph = graph.clone();
        for (index, spec) in inputs.iter().enumerate() {
            let fact = datum(spec.datatype).map_or_else(InferenceFact::default, InferenceFact::dt);
            let dims = spec.dims.iter().flatten().map(|dim| match dim {
                Dim::Fixed(size) => GenericFactoid::Only(TDim::Val(*size)),
                Dim::Any(_) => GenericFactoid::Any,
            });
            let shape = spec.dims.as_ref().map(|_| ShapeFactoid::closed(dims.collect()));
            graph.set_input_fact(index, fact.with_shape(shape.unwrap_or_default()))?;
        }
        // As far as it comes: what stays unknown here, a plan will ask for.
        let _ = graph.analyse(true);
        Ok(graph)
    })
}

/// Types by the names that values have in the file: what it declares, and what tract infers from that.
pub(crate) fn of_values(file: &Graph, inputs: &[TensorSpec], analysed: &InferenceModel) -> TypesByName {
    let inferred = analysed.outlet_labels.iter().filter_map(|(outlet, name)| {
        let found = analysed.outlet_fact(*outlet).ok()?.datum_type.concretize()?;
        Some((name.clone(), datatype(found)?))
    });
    let held = file.initializers.iter().map(|tensor| (&tensor.name, tensor.data_type));
    let held = held.filter_map(|(name, of)| Some((name.clone(), candor_engine_source::datatype(of)?)));
    let given = inputs.iter().map(|spec| (spec.name.to_string(), spec.datatype));
    inferred.chain(held).chain(given).collect()
}

/// Refuses a graph with constants that one of its operators takes for something else.
///
/// # Errors
/// `Unsupported` that names the operator and the constant.
pub(crate) fn check_constants(graph: &InferenceModel, careless: Careless) -> Result<()> {
    for node in graph.nodes() {
        let Some(konst) = node.op_as::<Const>() else { continue };
        if let Some((operator, number)) = find_foreign_float(konst.val(), |number| careless.objection(number)) {
            let what = format!("operator {operator} is refused on tract in a graph that holds {number}");
            return Err(unsupported(what).got(format!("tensor '{}'", node.name)));
        }
    }
    Ok(())
}
