//! `config.pbtxt` against the graph: names, datatypes, shapes, batch and labels.
//!
//! Where the file says less than the graph, the graph counts; where it fixes a size that the graph leaves
//! free, the file counts, as in Triton; where the two contradict each other, the version is not served.

use candor_domain::{Dim, Error, Result, Signature, TensorSpec};

use super::{
    TensorConfig, TritonConfig, at,
    reshape::{Reshape, Reshapes},
    type_name,
};
use crate::repository::manifest::{Manifest, TensorNotes};

/// `input` or `output`, as messages say it.
#[derive(Clone, Copy)]
struct Side<'a> {
    word: &'static str,
    configs: &'a [TensorConfig],
}

impl TritonConfig {
    /// Compares the file with the graph: `signature` becomes what callers see, `manifest` gets the labels.
    ///
    /// # Errors
    /// `InvalidModel` that names the line and what the graph says.
    pub fn fit(&self, signature: &mut Signature, manifest: &mut Manifest) -> Result<(Reshapes, Vec<String>)> {
        let inputs = Side { word: "input", configs: &self.inputs };
        let outputs = Side { word: "output", configs: &self.outputs };
        self.check_batch(signature)?;
        if let Some(first) = self.inputs.first()
            && let Some(missing) = inputs.not_said(&signature.inputs).next()
        {
            return Err(Error::model(format!("input '{}' of the graph is missing", missing.name))
                .at(at(first.line))
                .hint("list all inputs, or none"));
        }
        let mut notes = Vec::new();
        if !self.outputs.is_empty() {
            notes.extend(outputs.not_said(&signature.outputs).map(|missing| {
                format!(
                    "config.pbtxt does not list the output '{}' of the graph; it is served all the same",
                    missing.name
                )
            }));
        }
        let reshapes = Reshapes {
            inputs: self.fit_side(inputs, &mut signature.inputs)?,
            outputs: self.fit_side(outputs, &mut signature.outputs)?,
        };
        for output in &self.outputs {
            add_labels(output, &signature.outputs, manifest)?;
        }
        Ok((reshapes, notes))
    }

    fn is_batched(&self) -> bool {
        self.max_batch_size.is_some_and(|(max, _)| max > 0)
    }

    /// A batch needs a first dimension that is free, everywhere.
    fn check_batch(&self, signature: &Signature) -> Result<()> {
        let Some((max, line)) = self.max_batch_size.filter(|(max, _)| *max > 0) else { return Ok(()) };
        let said = |spec: &&TensorSpec| self.outputs.iter().any(|output| output.name == *spec.name);
        let specs = signature.inputs.iter().chain(signature.outputs.iter().filter(said));
        let without = |spec: &&TensorSpec| spec.dims.is_some() && !spec.has_batch_dim();
        match specs.into_iter().find(without) {
            None => Ok(()),
            Some(spec) => Err(Error::model(format!(
                "max_batch_size is {max}, but '{}' has no free first dimension in the graph",
                spec.name
            ))
            .at(at(line))
            .expected("max_batch_size: 0, and dims that are whole")
            .got(format!("{} in the graph", shown(spec.dims.as_deref().unwrap_or_default())))),
        }
    }

    fn fit_side(&self, side: Side<'_>, specs: &mut [TensorSpec]) -> Result<Vec<Option<Reshape>>> {
        for (index, config) in side.configs.iter().enumerate() {
            let known = |spec: &TensorSpec| *spec.name == *config.name;
            if !specs.iter().any(known) {
                let names: Vec<_> = specs.iter().map(|spec| &*spec.name).collect();
                return Err(Error::model(format!("{} '{}' is not in the graph", side.word, config.name))
                    .at(at(config.line))
                    .expected(names.join(", ")));
            }
            if side.configs.iter().take(index).any(|before| before.name == config.name) {
                return Err(
                    Error::model(format!("{} '{}' stands there twice", side.word, config.name)).at(at(config.line))
                );
            }
        }
        let fit = |spec: &mut TensorSpec| match side.configs.iter().find(|config| config.name == *spec.name) {
            Some(config) => self.fit_tensor(side.word, config, spec),
            None => Ok(None),
        };
        specs.iter_mut().map(fit).collect()
    }

    fn fit_tensor(&self, side: &str, config: &TensorConfig, spec: &mut TensorSpec) -> Result<Option<Reshape>> {
        let whose = |what: &str| format!("{what} of {side} '{}'", config.name);
        if let Some((datatype, line)) = config.datatype.filter(|(datatype, _)| *datatype != spec.datatype) {
            return Err(Error::model(format!("{} is not the graph's", whose("data_type")))
                .at(at(line))
                .expected(type_name(spec.datatype))
                .got(type_name(datatype)));
        }
        let Some((dims, dims_line)) = &config.dims else {
            return match &config.reshape {
                None => Ok(None),
                Some((_, line)) => Err(Error::model(format!("{} needs dims", whose("reshape"))).at(at(*line))),
            };
        };
        // With `reshape`, that is the graph's shape and `dims` the caller's.
        let (what, (inner, line)) = match &config.reshape {
            Some((shape, line)) => ("reshape", (shape, line)),
            None => ("dims", (dims, dims_line)),
        };
        let whole = self.with_batch(inner, spec);
        let own = spec.dims.take().unwrap_or_else(|| whole.clone());
        if !fits(&whole, &own) {
            let rest = own.get(usize::from(self.is_batched())..).unwrap_or_default();
            let error = Error::model(format!("{} do not fit the graph", whose(what)))
                .at(at(*line))
                .expected(format!("{} (the graph has {})", wire(rest), shown(&own)))
                .got(format!("{inner:?}"));
            return Err(match (self.is_batched(), own.len().checked_sub(whole.len())) {
                (false, Some(1)) => error.hint("without max_batch_size, dims are whole: the first one counts rows"),
                (true, None) => error.hint("with max_batch_size, dims leave the first dimension out"),
                _ => error,
            });
        }
        let narrowed: Vec<Dim> = own.into_iter().zip(whole).map(narrower).collect();
        if config.reshape.is_none() || inner == dims {
            spec.dims = Some(narrowed);
            return Ok(None);
        }
        spec.dims = Some(narrowed.clone());
        let outer = self.with_batch(dims, spec);
        let pattern = |dims: &[Dim]| dims.iter().map(|dim| Some(dim.wire()).filter(|size| *size >= 0)).collect();
        let (inner, outer_pattern) = (pattern(&narrowed), pattern(&outer));
        spec.dims = Some(outer);
        let reshape = match side {
            "input" => Reshape { from: outer_pattern, to: inner },
            _ => Reshape { from: inner, to: outer_pattern },
        };
        if !reshape.is_sound() {
            return Err(Error::model(format!("{} has another number of elements than its dims", whose("reshape")))
                .at(at(*line))
                .expected("the same product, and as many dimensions of -1"));
        }
        Ok(Some(reshape))
    }

    /// Dims of the file with the batch dimension before them, if there is one.
    fn with_batch(&self, dims: &[i64], spec: &TensorSpec) -> Vec<Dim> {
        let own_batch = spec.dims.as_ref().and_then(|dims| dims.first()).cloned();
        let batch = self.is_batched().then(|| own_batch.unwrap_or(Dim::Any(None)));
        let said = dims.iter().map(|dim| if *dim < 0 { Dim::Any(None) } else { Dim::Fixed(*dim) });
        batch.into_iter().chain(said).collect()
    }
}

impl<'a> Side<'a> {
    fn not_said<'b>(self, specs: &'b [TensorSpec]) -> impl Iterator<Item = &'b TensorSpec> + use<'a, 'b> {
        specs.iter().filter(move |spec| !self.configs.iter().any(|config| config.name == *spec.name))
    }
}

/// Whether what the graph fixes is fixed to the same size in the file.
fn fits(said: &[Dim], own: &[Dim]) -> bool {
    let one = |(said, own): (&Dim, &Dim)| matches!(own, Dim::Any(_)) || said.wire() == own.wire();
    said.len() == own.len() && said.iter().zip(own).all(one)
}

fn narrower((own, said): (Dim, Dim)) -> Dim {
    if matches!((&own, &said), (Dim::Any(_), Dim::Fixed(_))) { said } else { own }
}

fn shown(dims: &[Dim]) -> String {
    let dims: Vec<_> = dims.iter().map(Dim::to_string).collect();
    format!("[{}]", dims.join(", "))
}

fn wire(dims: &[Dim]) -> String {
    let dims: Vec<_> = dims.iter().map(Dim::wire).collect();
    format!("{dims:?}")
}

fn add_labels(output: &TensorConfig, specs: &[TensorSpec], manifest: &mut Manifest) -> Result<()> {
    let Some((file, line)) = &output.label_filename else { return Ok(()) };
    let spec = specs.iter().find(|spec| *spec.name == *output.name);
    let last = spec.and_then(|spec| spec.dims.as_ref()?.last());
    // A dimension of 1 holds the class itself.
    if let Some(Dim::Fixed(size)) = last
        && *size != 1
        && i64::try_from(output.labels.len()) != Ok(*size)
    {
        return Err(Error::model(format!("labels of output '{}' do not fit the graph", output.name))
            .at(at(*line))
            .expected(format!("{size} lines in {file} (the last dimension)"))
            .got(output.labels.len().to_string()));
    }
    let notes = match manifest.outputs.iter_mut().find(|notes| notes.name == output.name) {
        Some(notes) => notes,
        None => {
            manifest.outputs.push(TensorNotes { name: output.name.clone(), ..TensorNotes::default() });
            let Some(notes) = manifest.outputs.last_mut() else { return Ok(()) };
            notes
        }
    };
    if notes.labels.is_empty() {
        notes.labels.clone_from(&output.labels);
    } else if notes.labels != output.labels {
        return Err(Error::model(format!("labels of output '{}' contradict model.toml", output.name))
            .at(at(*line))
            .expected(notes.labels.join(", "))
            .got(output.labels.join(", ")));
    }
    Ok(())
}
