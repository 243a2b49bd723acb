//! Makes sessions out of model bytes and reads their signatures.
//!
//! Called by the registry on its load pool; `plan` runs what comes out.

use candor_domain::{
    Cancel, Dim, Engine, EngineInfo, Error, ErrorCode, LoadedModel, ModelSource, Result, Session, Shape, Signature,
    Tensor, TensorSpec,
};
use candor_engine_source::{properties, scanned, signature};
use tract_onnx::{
    Onnx,
    prelude::{InferenceModel, TDim, TypedFact},
    tract_hir::infer::Factoid as _,
};

use crate::{
    file,
    guard::unsupported,
    operators::{self, Careless},
    plan::{Plan, Plans},
    types,
    values::{datum, find_float, from_tract, to_tract},
};

/// The version that Cargo.toml pins; a test compares it with the lock file.
const TRACT_VERSION: &str = "0.23.9";

/// tract, which is always there.
pub struct TractEngine {
    info: EngineInfo,
    tract: Onnx,
}

impl TractEngine {
    /// The engine. Each run takes the thread that asks for it and no other.
    #[must_use]
    pub fn new() -> Self {
        let info = EngineInfo {
            name: "tract",
            version: TRACT_VERSION.to_owned(),
            library: None,
            library_sha256: None,
            platform: "onnx_onnxv1",
            backend: "tract",
        };
        // Exporters, torch's dynamo among them, write shapes for values within and for outputs that are not so.
        let tract = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
        Self { info, tract }
    }
}

impl Default for TractEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for TractEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn load(&self, source: ModelSource<'_>) -> Result<LoadedModel> {
        let scanned = scanned(source)?;
        let declared = signature(&scanned.model.graph)?;
        for spec in declared.inputs.iter().chain(&declared.outputs) {
            datum(spec.datatype)
                .ok_or_else(|| unsupported(format!("'{}' is {}, which tract lacks", spec.name, spec.datatype)))?;
        }
        operators::check(&scanned.model)?;
        let file = &scanned.model.graph;
        let graph = file::parse(&file::read(source, &self.tract)?, &self.tract)?;
        let careless = Careless::of(file);
        types::check_constants(&graph, careless)?;
        let analysed = types::analysed(&graph, &declared.inputs)
            .map_err(|why| unsupported(format!("tract cannot take the inputs: {why}")))?;
        operators::check_types(file, &types::of_values(file, &declared.inputs, &analysed))?;
        let free = Free::new(&graph, &declared.inputs, &analysed);
        let made = free.plan(&graph)?;
        let signature = Signature { outputs: free.outputs(&declared.outputs, &made)?, inputs: declared.inputs };
        let plans = Plans::new(graph, made.symbolic.then_some(made.plan));
        let session = Box::new(TractSession { plans, careless, signature: signature.clone() });
        let properties = properties(&scanned.model);
        let (cost_depends_on_values, random) = (scanned.cost_depends_on_values, scanned.random);
        Ok(LoadedModel { session, signature, properties, cost_depends_on_values, random })
    }
}

/// Sizes that are tried in place of free ones where no plan with symbols can be made, to see whether any can.
const SAMPLE_SIZES: [i64; 5] = [1, 2, 4, 8, 32];

/// Numbers of dimensions that are tried where none is declared.
const SAMPLE_RANKS: [usize; 5] = [2, 1, 0, 3, 4];

/// The inputs' shapes, free sizes as symbols of the graph.
struct Free {
    /// None for an input without a declared rank.
    shapes: Vec<Option<Vec<TDim>>>,
    /// Symbols by the name that the file gives them; none where it gives none.
    symbols: Vec<(TDim, Option<String>)>,
}

/// A plan that tells the outputs' types, and perhaps their shapes.
struct MadePlan {
    plan: Plan,
    /// Whether it is for any shape.
    symbolic: bool,
}

impl Free {
    /// Sizes that are not fixed become symbols, but for those that the graph allows to be one number only.
    fn new(graph: &InferenceModel, inputs: &[TensorSpec], analysed: &InferenceModel) -> Self {
        let mut free = Self { shapes: Vec::new(), symbols: Vec::new() };
        for (index, spec) in inputs.iter().enumerate() {
            let inferred = |axis: usize| analysed.input_fact(index).ok()?.shape.dim(axis)?.concretize()?.as_i64();
            let dim = |(axis, dim): (usize, &Dim)| match dim {
                Dim::Fixed(size) => TDim::Val(*size),
                Dim::Any(name) => {
                    let symbol = |free: &mut Self| free.symbol(graph, name.as_deref());
                    inferred(axis).map_or_else(|| symbol(&mut free), TDim::Val)
                }
            };
            let shape = spec.dims.as_ref().map(|dims| dims.iter().enumerate().map(dim).collect());
            free.shapes.push(shape);
        }
        free
    }

    /// The symbol of this name, or one of its own.
    fn symbol(&mut self, graph: &InferenceModel, name: Option<&str>) -> TDim {
        let known = self.symbols.iter().find(|(_, known)| name.is_some() && known.as_deref() == name);
        if let Some((symbol, _)) = known {
            return symbol.clone();
        }
        // Not the name of the file: it may read as a formula.
        let symbol = TDim::Sym(graph.symbols.new_with_prefix("size"));
        self.symbols.push((symbol.clone(), name.map(str::to_owned)));
        symbol
    }

    fn plan(&self, graph: &InferenceModel) -> Result<MadePlan> {
        let shapes: Option<Vec<_>> = self.shapes.iter().cloned().collect();
        let made = shapes.map(|shapes| Plan::new(graph, &shapes));
        let why = match made {
            Some(Ok(plan)) => return Ok(MadePlan { plan, symbolic: true }),
            Some(Err(why)) => why.to_string(),
            None => "an input is declared without its number of dimensions, and no usual one will do".to_owned(),
        };
        let sampled = self.samples().find_map(|shapes| Plan::new(graph, &shapes).ok());
        let refused = || unsupported(format!("tract cannot plan the graph: {why}"));
        sampled.map(|plan| MadePlan { plan, symbolic: false }).ok_or_else(refused)
    }

    /// Shapes that the inputs might have, if anything of them is free.
    fn samples(&self) -> impl Iterator<Item = Vec<Vec<TDim>>> {
        let rankless = self.shapes.iter().any(Option::is_none);
        let ranks = SAMPLE_RANKS.into_iter().take(if rankless { SAMPLE_RANKS.len() } else { 1 });
        let is_free = rankless || !self.symbols.is_empty();
        let sizes = SAMPLE_SIZES.into_iter().take(if is_free { SAMPLE_SIZES.len() } else { 0 });
        sizes.flat_map(move |size| ranks.clone().map(move |rank| self.sample(size, rank)))
    }

    fn sample(&self, size: i64, rank: usize) -> Vec<Vec<TDim>> {
        let fixed = |dim: &TDim| dim.as_i64().map_or(TDim::Val(size), TDim::Val);
        let shape = |shape: &Option<Vec<TDim>>| {
            shape.as_ref().map_or_else(|| vec![TDim::Val(size); rank], |dims| dims.iter().map(fixed).collect())
        };
        self.shapes.iter().map(shape).collect()
    }

    /// The outputs as declared, with what tract has inferred where it knows more.
    fn outputs(&self, declared: &[TensorSpec], made: &MadePlan) -> Result<Vec<TensorSpec>> {
        let inferred = made.plan.outputs().map_err(|why| unsupported(format!("tract lost the outputs: {why}")))?;
        let spec = |(spec, fact): (&TensorSpec, &TypedFact)| {
            let found = fact.datum_type;
            if Some(found) != datum(spec.datatype) {
                let what = format!("tract makes output '{}' {found:?}, declared as {}", spec.name, spec.datatype);
                return Err(unsupported(what));
            }
            let dims = if made.symbolic { Some(self.dims(spec, fact)) } else { spec.dims.clone() };
            Ok(TensorSpec { dims, ..spec.clone() })
        };
        declared.iter().zip(&inferred).map(spec).collect()
    }

    fn dims(&self, declared: &TensorSpec, fact: &TypedFact) -> Vec<Dim> {
        let declared = declared.dims.as_ref().filter(|dims| dims.len() == fact.shape.rank());
        let dim = |(at, found): (usize, &TDim)| {
            if let Some(size) = found.as_i64() {
                return Dim::Fixed(size);
            }
            let named = self.symbols.iter().find(|(symbol, _)| symbol == found).and_then(|(_, name)| name.as_deref());
            let inferred = Dim::Any(named.map(Into::into));
            match declared.and_then(|dims| dims.get(at)) {
                Some(Dim::Any(None)) | None => inferred,
                Some(known) => known.clone(),
            }
        };
        fact.shape.iter().enumerate().map(dim).collect()
    }
}

struct TractSession {
    plans: Plans,
    careless: Careless,
    signature: Signature,
}

impl TractSession {
    /// Refuses what an operator of the graph would take for something else.
    fn check(&self, inputs: &[Tensor]) -> Result<()> {
        for (spec, tensor) in self.signature.inputs.iter().zip(inputs) {
            if let Some((operator, what)) = find_float(tensor, |number| self.careless.objection(number)) {
                let what =
                    format!("input '{}' holds {what}, which tract takes for something else in {operator}", spec.name);
                return Err(Error::invalid(what).hint("ONNX Runtime does not: serve the model with that engine"));
            }
        }
        Ok(())
    }
}

impl Session for TractSession {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        let cancelled = |when: &'static str| Error::new(ErrorCode::Cancelled, when);
        let is_cancelled = || cancel.is_some_and(Cancel::is_cancelled);
        if is_cancelled() {
            return Err(cancelled("cancelled before it ran"));
        }
        self.check(inputs)?;
        let shapes: Vec<Shape> = inputs.iter().map(|tensor| *tensor.shape()).collect();
        let values = inputs.iter().map(to_tract).collect::<Result<_>>()?;
        let outputs = self.plans.run(&values, &shapes, cancel).map_err(|why| {
            if is_cancelled() {
                return cancelled("cancelled while it ran");
            }
            // Decision 0007: an operator that fails was given what it cannot work with.
            let code = if why.panicked { ErrorCode::EngineFailed } else { ErrorCode::InvalidInput };
            Error::new(code, format!("tract could not run the graph: {why}"))
        })?;
        let output = |at: &usize| {
            let missing = || Error::new(ErrorCode::Internal, format!("output {at} of the graph was not made"));
            let (spec, value) = self.signature.outputs.get(*at).zip(outputs.get(*at)).ok_or_else(missing)?;
            from_tract(&spec.name, spec.datatype, value.clone())
        };
        wanted.iter().map(output).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_shown_is_the_one_that_is_built() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"tract-onnx\"\nversion = \"{TRACT_VERSION}\"")));
        assert_eq!(TractEngine::new().info().version, TRACT_VERSION);
    }
}
