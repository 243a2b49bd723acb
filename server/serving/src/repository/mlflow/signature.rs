//! The signature in `MLmodel`, JSON within YAML, against the graph.

use candor_domain::{Datatype, Dim, Error, Result, TensorSpec, names::quoted};
use serde::Deserialize;
use serde_json::Value;

use crate::repository::MLMODEL_FILE;

/// One side of the signature.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    side: &'static str,
    fields: Vec<Field>,
}

/// A column or a tensor.
#[derive(Debug, Clone, Deserialize)]
struct Field {
    name: Option<Value>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "tensor-spec")]
    tensor: Option<Tensor>,
    required: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<i64>,
}

impl Field {
    /// Pandas may call a column by a number.
    fn name(&self) -> Option<String> {
        self.name.as_ref().and_then(|name| match name {
            Value::String(name) => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })
    }
}

/// What a column holds, as far as it can be told apart.
fn is_text(datatype: Datatype) -> bool {
    datatype == Datatype::Bytes
}

/// NumPy's names; `None` for what no tensor here is.
fn numpy(dtype: &str) -> Option<Datatype> {
    Some(match dtype {
        "bool" => Datatype::Bool,
        "uint8" => Datatype::Uint8,
        "uint16" => Datatype::Uint16,
        "uint32" => Datatype::Uint32,
        "uint64" => Datatype::Uint64,
        "int8" => Datatype::Int8,
        "int16" => Datatype::Int16,
        "int32" => Datatype::Int32,
        "int64" => Datatype::Int64,
        "float16" => Datatype::Fp16,
        "float32" => Datatype::Fp32,
        "float64" => Datatype::Fp64,
        "object" | "str" | "string" => Datatype::Bytes,
        _ => return None,
    })
}

fn names(specs: &[TensorSpec]) -> String {
    specs.iter().map(|spec| &*spec.name).collect::<Vec<_>>().join(", ")
}

fn find<'a>(specs: &'a [TensorSpec], name: &str) -> Option<&'a TensorSpec> {
    specs.iter().find(|spec| *spec.name == *name)
}

impl Fields {
    pub(super) fn parse(json: Option<&str>, side: &'static str) -> Result<Self> {
        let Some(json) = json else { return Ok(Self { side, fields: Vec::new() }) };
        let fields = serde_json::from_str(json)
            .map_err(|error| Error::model(error.to_string()).at(format!("{MLMODEL_FILE} signature.{side}")))?;
        Ok(Self { side, fields })
    }

    fn wrong(&self, index: Option<usize>, what: String) -> Error {
        let index = index.map_or_else(String::new, |index| format!("[{index}]"));
        Error::model(what).at(format!("{MLMODEL_FILE} signature.{}{index}", self.side))
    }

    /// Compares the inputs; gives an input whose columns have names, and the names.
    pub(super) fn fit_inputs<'a>(
        &self,
        specs: &'a [TensorSpec],
        notes: &mut Vec<String>,
    ) -> Result<Option<(&'a str, Vec<String>)>> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        let tensors = self.fields.iter().filter(|field| field.tensor.is_some()).count();
        if tensors == self.fields.len() {
            return self.fit_tensors(specs).map(|()| None);
        }
        let names: Option<Vec<String>> = self.fields.iter().map(Field::name).collect();
        let Some(names) = names.filter(|_| tensors == 0) else {
            notes.push(format!("{MLMODEL_FILE} signature.{}: columns without names are not used", self.side));
            return Ok(None);
        };
        if let Some(index) =
            (1..names.len()).find(|index| names.iter().take(*index).any(|known| names.get(*index) == Some(known)))
        {
            let twice = names.get(index).map(|name| quoted(name)).unwrap_or_default();
            return Err(self.wrong(Some(index), format!("two columns are called {twice}")));
        }
        let optional = |(field, name): (&Field, &String)| (field.required == Some(false)).then(|| quoted(name));
        let optional: Vec<_> = self.fields.iter().zip(&names).filter_map(optional).collect();
        if !optional.is_empty() {
            notes.push(format!(
                "{MLMODEL_FILE} signature.inputs: {} may be left out in MLflow; here a default in model.toml says so",
                optional.join(", ")
            ));
        }
        if names.iter().all(|name| find(specs, name).is_some()) {
            return self.fit_by_name(&names, specs).map(|()| None);
        }
        self.fit_columns(names, specs).map(Some)
    }

    /// Every column is an input of its own.
    fn fit_by_name(&self, names_: &[String], specs: &[TensorSpec]) -> Result<()> {
        if let Some(missing) = specs.iter().find(|spec| !names_.iter().any(|name| *spec.name == **name)) {
            return Err(self
                .wrong(None, format!("input '{}' of the graph is missing", missing.name))
                .expected(names(specs)));
        }
        for (index, name) in names_.iter().enumerate() {
            if let Some(spec) = find(specs, name) {
                self.check_column(index, spec)?;
            }
        }
        Ok(())
    }

    /// The columns are those of the only input.
    fn fit_columns<'a>(&self, columns: Vec<String>, specs: &'a [TensorSpec]) -> Result<(&'a str, Vec<String>)> {
        let [spec @ TensorSpec { dims: Some(dims), .. }] = specs else {
            return Err(self
                .wrong(None, format!("{} columns do not fit the graph", columns.len()))
                .expected(format!("columns with the names of its inputs: {}", names(specs)))
                .got(columns.join(", ")));
        };
        let fits = match dims.as_slice() {
            [_, Dim::Fixed(count)] => i64::try_from(columns.len()) == Ok(*count),
            [_, Dim::Any(_)] => true,
            _ => false,
        };
        if !fits {
            let shape: Vec<_> = dims.iter().map(Dim::to_string).collect();
            return Err(self
                .wrong(None, format!("the columns do not fit the graph's input '{}'", spec.name))
                .expected(format!("as many as its shape says: [{}]", shape.join(", ")))
                .got(columns.len().to_string()));
        }
        for index in 0..columns.len() {
            self.check_column(index, spec)?;
        }
        Ok((&spec.name, columns))
    }

    /// Numbers become each other in MLflow; texts and numbers do not.
    fn check_column(&self, index: usize, spec: &TensorSpec) -> Result<()> {
        let Some(field) = self.fields.get(index) else { return Ok(()) };
        let text = match field.kind.as_str() {
            "string" => true,
            "double" | "float" | "integer" | "long" | "boolean" => false,
            // Of the rest (any, datetime, array, …) nothing is known here.
            _ => return Ok(()),
        };
        if text == is_text(spec.datatype) {
            return Ok(());
        }
        Err(self
            .wrong(Some(index), format!("the column does not fit the graph's input '{}'", spec.name))
            .expected(if text { "numbers" } else { "string" })
            .got(field.kind.clone()))
    }

    fn fit_tensors(&self, specs: &[TensorSpec]) -> Result<()> {
        let alone = self.fields.len() == 1 && specs.len() == 1;
        let mut fitted: Vec<&str> = Vec::new();
        for (index, field) in self.fields.iter().enumerate() {
            let name = field.name();
            let spec = match &name {
                Some(name) => Some(find(specs, name).ok_or_else(|| {
                    self.wrong(Some(index), format!("{} is not in the graph", quoted(name))).expected(names(specs))
                })?),
                None => specs.first().filter(|_| alone),
            };
            if let Some(spec) = spec {
                self.check_tensor(index, field, spec)?;
                fitted.push(&spec.name);
            }
        }
        // Unnamed ones may be any.
        let all_named = self.fields.iter().all(|field| field.name().is_some());
        match specs.iter().find(|spec| all_named && !fitted.contains(&&*spec.name)) {
            Some(missing) => Err(self.wrong(None, format!("input '{}' of the graph is missing", missing.name))),
            None => Ok(()),
        }
    }

    fn check_tensor(&self, index: usize, field: &Field, spec: &TensorSpec) -> Result<()> {
        let Some(tensor) = &field.tensor else { return Ok(()) };
        let said = numpy(&tensor.dtype);
        // MLflow itself makes singles of doubles for a graph that wants those.
        let cast = (said, spec.datatype) == (Some(Datatype::Fp64), Datatype::Fp32);
        if said.is_some_and(|said| said != spec.datatype) && !cast {
            return Err(self
                .wrong(Some(index), format!("the dtype of '{}' is not the graph's", spec.name))
                .expected(spec.datatype.name())
                .got(tensor.dtype.clone()));
        }
        let Some(dims) = &spec.dims else { return Ok(()) };
        let one = |(said, own): (&i64, &Dim)| *said < 0 || own.wire() < 0 || *said == own.wire();
        if tensor.shape.len() == dims.len() && tensor.shape.iter().zip(dims).all(one) {
            return Ok(());
        }
        let shape: Vec<_> = dims.iter().map(Dim::to_string).collect();
        Err(self
            .wrong(Some(index), format!("the shape of '{}' is not the graph's", spec.name))
            .expected(format!("[{}]", shape.join(", ")))
            .got(format!("{:?}", tensor.shape)))
    }

    /// Compares the outputs that have the graph's names. MLflow does not hold models to the others.
    pub(super) fn fit_outputs(&self, specs: &[TensorSpec], notes: &mut Vec<String>) -> Result<()> {
        for (index, field) in self.fields.iter().enumerate() {
            let Some(name) = field.name() else { continue };
            match find(specs, &name) {
                Some(spec) => self.check_tensor(index, field, spec)?,
                None => notes.push(format!(
                    "{MLMODEL_FILE} signature.outputs[{index}]: the graph has no output {}; it has {}",
                    quoted(&name),
                    names(specs)
                )),
            }
        }
        Ok(())
    }
}
