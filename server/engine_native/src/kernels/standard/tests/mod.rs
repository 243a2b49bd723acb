//! The traps of the standard operators: what is old, what overflows, what is empty, what is hostile.
//!
//! That operators do what the specification says is shown by `tests/operators.rs`; here is what its data leave
//! out. `hostile` gives every operator whatever it may get.

mod hostile;
mod numbers;
mod shapes;

use candor_domain::{BytesArray, Result, Shape, Tensor, TensorData};
use candor_onnx::{Attribute, Folder, Node};

use crate::{
    kernel::{Args, Build, Known, Source},
    kernels::find,
    workspace::Buffers,
};

/// A tensor of these.
fn tensor(dims: &[i64], data: TensorData) -> Tensor {
    Tensor::new(Shape::new(dims).unwrap(), data).unwrap()
}

fn floats(dims: &[i64], list: &[f32]) -> Tensor {
    tensor(dims, TensorData::Fp32(list.to_vec()))
}

fn longs(dims: &[i64], list: &[i64]) -> Tensor {
    tensor(dims, TensorData::Int64(list.to_vec()))
}

/// A list, as operators take them.
fn list(of: &[i64]) -> Tensor {
    longs(&[i64::try_from(of.len()).unwrap()], of)
}

fn texts(of: &[&str]) -> Tensor {
    tensor(&[i64::try_from(of.len()).unwrap()], TensorData::Bytes(of.iter().collect::<BytesArray>()))
}

/// An operator: its name, version and attributes.
struct Op {
    node: Node,
}

impl Op {
    fn new(name: &str, version: i64) -> Self {
        let node = Node { op_type: name.to_owned(), opset: Some(version), ..Node::default() };
        Self { node }.outputs(1)
    }

    fn with(mut self, name: &str, attribute: Attribute) -> Self {
        self.node.attributes.insert(name.to_owned(), attribute);
        self
    }

    fn int(self, name: &str, int: i64) -> Self {
        self.with(name, Attribute::Int(int))
    }

    fn ints(self, name: &str, ints: &[i64]) -> Self {
        self.with(name, Attribute::Ints(ints.to_vec()))
    }

    fn text(self, name: &str, text: &'static str) -> Self {
        self.with(name, Attribute::String(text.as_bytes().into()))
    }

    fn outputs(mut self, count: usize) -> Self {
        self.node.outputs = (0..count).map(|at| format!("y{at}")).collect();
        self
    }

    fn run_all(&self, inputs: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
        self.run_on(inputs.to_vec())
    }

    /// Builds and runs it. Inputs come from slots where nobody else needs them.
    fn run_on(&self, inputs: Vec<Option<Tensor>>) -> Result<Vec<Tensor>> {
        let mut node = self.node.clone();
        let name =
            |(at, input): (usize, &Option<Tensor>)| input.as_ref().map_or_else(String::new, |_| format!("x{at}"));
        node.inputs = inputs.iter().enumerate().map(name).collect();
        let known = |tensor: &Tensor| Known {
            datatype: tensor.datatype(),
            dims: Some(crate::constants::dims_of(tensor)),
            constant: None,
        };
        let build = Build {
            node: &node,
            opset: node.opset.unwrap(),
            inputs: inputs.iter().map(|input| input.as_ref().map(known)).collect(),
            folder: &Folder::new("."),
        };
        let built = find(&node).expect("the operator is not in the table")(&build)?;
        drop(build);
        let slot = |(at, input): (usize, &Option<Tensor>)| input.as_ref().map(|_| Source::Slot { at, last: true });
        let sources: Vec<_> = inputs.iter().enumerate().map(slot).collect();
        let mut slots = inputs;
        let mut args = Args { sources: &sources, inputs: &[], constants: &[], slots: &mut slots, cancel: None };
        let mut made = Vec::new();
        built.kernel.run(&mut args, &mut Buffers::default(), &mut made)?;
        let promised: Vec<_> = built.outputs.iter().map(|(datatype, _)| *datatype).collect();
        let kept: Vec<_> = made.iter().map(Tensor::datatype).collect();
        assert_eq!(promised, kept, "{} promised other datatypes than it made", node.op_type);
        Ok(made)
    }

    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let inputs: Vec<_> = inputs.iter().map(|tensor| Some((*tensor).clone())).collect();
        self.run_all(&inputs).map(|mut made| made.remove(0))
    }

    /// What it says when it cannot.
    fn error(&self, inputs: &[&Tensor]) -> String {
        self.run(inputs).expect_err("it gave an answer").to_string()
    }
}
