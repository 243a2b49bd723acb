//! Whether tract answers a graph rightly: its operators, their attributes, the types of their inputs.
//!
//! `table` lists what may stand in a graph; here are the rules about values of attributes and about what a
//! node has or lacks, each with what tract does otherwise (0.23.9, against ONNX Runtime 1.31.1).

use std::collections::HashMap;

use candor_domain::{Datatype, Error, Result};
use candor_onnx::{DataType, Graph, Model, Node};

use crate::{
    guard::unsupported,
    table::{DROP_NAN, HAS_GAPS, Row, Types, find},
};

/// Older operator sets broadcast by attributes.
const OPSET_MIN: i64 = 7;

/// Constants: tract compares each with each when it reads a file.
const CONSTANTS_MAX: usize = 5_000;

/// Nodes: tract goes over all of them for each that it changes. 3,000 take seconds in a release build.
const NODES_MAX: usize = 5_000;

/// Refuses a graph that holds what tract lacks or answers wrongly, whatever the types.
///
/// # Errors
/// `Unsupported` that names the node and its operator.
pub(crate) fn check(model: &Model) -> Result<()> {
    let graph = &model.graph;
    for (what, count, most) in
        [("nodes", graph.nodes.len(), NODES_MAX), ("constants", graph.initializers.len(), CONSTANTS_MAX)]
    {
        if count > most {
            let error = unsupported(format!("the graph has more {what} than tract can plan in a short time"));
            return Err(error.expected(format!("at most {most}")).got(count.to_string()));
        }
    }
    if let Some(sparse) = graph.sparse_initializers.first() {
        return Err(unsupported("tract has no sparse initializers").got(format!("'{}'", sparse.values.name)));
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        let is_function = model.function(&node.domain, &node.op_type, &node.overload).is_some();
        check_node(node, is_function).map_err(|error| error.at(node.place(at)))?;
    }
    Ok(())
}

fn check_node(node: &Node, is_function: bool) -> Result<()> {
    let refuse = |why: String| Err(unsupported(format!("operator {} is refused on tract: {why}", node.op_type)));
    if is_function {
        return refuse("it is a function of the model's own, which tract does not put in".to_owned());
    }
    if !node.domain.is_empty() {
        return refuse(format!("tract's operators are those of ONNX itself, not of {}", node.domain));
    }
    if node.opset.is_some_and(|opset| opset < OPSET_MIN) {
        return refuse(format!("the operator set is older than {OPSET_MIN}"));
    }
    let Some(row) = find(&node.op_type) else {
        return refuse("tract lacks it, or answers it wrongly".to_owned());
    };
    let unknown = node.attributes.keys().find(|name| !row.attributes.split(' ').any(|known| known == *name));
    if let Some(unknown) = unknown {
        return refuse(format!("tract does not heed its attribute '{unknown}'"));
    }
    let named = node.inputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    let has_gap = node.inputs.iter().take(named).any(String::is_empty);
    if has_gap && !HAS_GAPS.contains(&row.name) {
        return refuse("it leaves out an input and has another behind it".to_owned());
    }
    special(node, named).map_or(Ok(()), |why| refuse(why.to_owned()))
}

/// What speaks against this use of an operator, if anything does.
fn special(node: &Node, inputs: usize) -> Option<&'static str> {
    let int = |name: &str| node.int(name).ok().flatten();
    let text = |name: &str| node.text(name).ok().flatten();
    let given = |at: usize| node.inputs.get(at).is_some_and(|name| !name.is_empty());
    let opset = node.opset.unwrap_or(i64::MAX);
    match node.op_type.as_str() {
        "BatchNormalization" if int("training_mode").unwrap_or(0) != 0 || node.outputs.len() > 1 => {
            Some("training is not what it does")
        }
        "Clip" if opset < 11 => Some("its bounds were other before operator set 11"),
        "Dropout" if inputs > 2 => Some("training is not what it does"),
        "Dropout" if node.outputs.len() > 1 && opset < 12 => Some("its mask was another before operator set 12"),
        "Einsum" if text("equation").is_some_and(|equation| equation.trim_end().ends_with("->")) => {
            Some("tract does not sum up everything")
        }
        "GRU" | "LSTM" | "RNN" => recurrent(node, given(5) && (node.op_type != "LSTM" || given(6))),
        "GridSample" if text("mode").is_some_and(|mode| mode.ends_with("cubic")) => {
            Some("tract interpolates cubically in another way")
        }
        "Pad" if opset < 11 => Some("its widths were attributes before operator set 11"),
        "Resize" => match text("coordinate_transformation_mode") {
            Some("tf_crop_and_resize") => Some("tract crops in another way"),
            Some("align_corners") if !given(3) => Some("tract aligns corners in another way when it is given scales"),
            _ => None,
        },
        "Squeeze" if !given(1) && !node.attributes.contains_key("axes") => {
            Some("without axes tract does not see sizes of 1 that come with the request")
        }
        "TopK" if int("sorted") == Some(0) => Some("tract does not heed that it need not sort"),
        _ => None,
    }
}

fn recurrent(node: &Node, has_state: bool) -> Option<&'static str> {
    let direction = node.text("direction").ok().flatten().unwrap_or("forward");
    let usual: &[&str] = match node.op_type.as_str() {
        "GRU" => &["Sigmoid", "Tanh"],
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        _ => &["Tanh"],
    };
    let is_usual = |(at, name): (usize, &candor_onnx::Bytes)| {
        usual.get(at % usual.len()).is_some_and(|usual| name.eq_ignore_ascii_case(usual.as_bytes()))
    };
    let activations = node.strings("activations").ok().flatten().unwrap_or_default();
    if !activations.iter().enumerate().all(is_usual) {
        return Some("tract has but the usual activations");
    }
    if direction == "reverse" {
        return Some("tract goes forward where it should go in reverse alone");
    }
    if node.op_type == "LSTM" && direction == "forward" && !has_state {
        return Some("without initial states tract fails on more than one row");
    }
    None
}

/// Types of values by their names in the file.
pub(crate) type TypesByName = HashMap<String, Datatype>;

/// Refuses operators whose first input is of a type that tract answers wrongly or not at all.
///
/// # Errors
/// `Unsupported` that names the node, its operator and the type.
pub(crate) fn check_types(graph: &Graph, types: &TypesByName) -> Result<()> {
    for (at, node) in graph.nodes.iter().enumerate() {
        let Some(row) = find(&node.op_type) else { continue };
        let of = |input: usize| node.inputs.get(input).and_then(|name| types.get(name)).copied();
        let refused = match of(0) {
            Some(first) if !is_one_of(row, first) => Some(first),
            first => first.filter(|first| casts_wrongly(node, *first, of(1))),
        };
        if let Some(datatype) = refused {
            let what = format!("operator {} is refused on tract for {datatype}", node.op_type);
            return Err(place(unsupported(what), node, at));
        }
    }
    Ok(())
}

fn place(error: Error, node: &Node, at: usize) -> Error {
    error.at(node.place(at))
}

fn is_one_of(row: &Row, datatype: Datatype) -> bool {
    let is_float = matches!(datatype, Datatype::Fp32 | Datatype::Fp64);
    let is_bool = datatype == Datatype::Bool;
    let is_other = matches!(datatype, Datatype::Bytes | Datatype::Fp16 | Datatype::Bf16);
    match row.types {
        Types::Any => row.name != "Equal" || !is_bool,
        Types::Numbers => !is_bool && !is_other,
        Types::Integers => !is_bool && !is_other && !is_float,
        Types::Floats => is_float,
        Types::Single => datatype == Datatype::Fp32,
        Types::Bool => is_bool,
    }
}

/// Numbers as text, which tract writes in its own way, but for integers; and INT64 from text, which it lacks.
fn casts_wrongly(node: &Node, from: Datatype, like: Option<Datatype>) -> bool {
    let to = node.int("to").ok().flatten().and_then(|number| DataType::from_number(i32::try_from(number).ok()?));
    let to = match node.op_type.as_str() {
        "Cast" => to.and_then(candor_engine_source::datatype),
        "CastLike" => like,
        _ => return false,
    };
    match to {
        Some(Datatype::Bytes) => {
            matches!(from, Datatype::Bool | Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64)
        }
        Some(Datatype::Int64) => from == Datatype::Bytes,
        _ => false,
    }
}

/// What a graph must not be given, because some operator of it takes it for something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Careless {
    /// The operator that loses a not-a-number.
    pub(crate) nan: Option<&'static str>,
    /// The operator that takes an infinity for a finite number.
    pub(crate) infinity: Option<&'static str>,
}

impl Careless {
    /// The operators of `graph` that are careless.
    pub(crate) fn of(graph: &Graph) -> Self {
        let has = |name: &str| graph.nodes.iter().any(|node| node.op_type == name);
        let given = |node: &Node, at: usize| node.inputs.get(at).is_some_and(|name| !name.is_empty());
        // Without a bound the specification means the largest finite number.
        let open = |node: &Node| node.op_type == "Clip" && !(given(node, 1) && given(node, 2));
        Self {
            nan: DROP_NAN.iter().copied().find(|name| has(name)),
            infinity: graph.nodes.iter().any(open).then_some("Clip"),
        }
    }

    /// The operator that takes this number for something else, and what the number is.
    pub(crate) fn objection(self, number: f64) -> Option<(&'static str, &'static str)> {
        if number.is_finite() {
            return None;
        }
        let nan = self.nan.filter(|_| number.is_nan()).map(|operator| (operator, "a not-a-number"));
        nan.or_else(|| self.infinity.filter(|_| number.is_infinite()).map(|operator| (operator, "an infinity")))
    }
}

#[cfg(test)]
mod tests {
    use candor_onnx::{Attribute, Bytes};

    use super::*;

    fn node(op_type: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> Node {
        Node {
            op_type: op_type.to_owned(),
            opset: Some(18),
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: vec!["y".to_owned()],
            attributes: attributes.iter().map(|(name, held)| ((*name).to_owned(), held.clone())).collect(),
            ..Node::default()
        }
    }

    fn text(text: &'static str) -> Attribute {
        Attribute::String(Bytes::from_static(text.as_bytes()))
    }

    fn texts(texts: &[&'static str]) -> Attribute {
        Attribute::Strings(texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect())
    }

    fn why(node: &Node) -> Option<String> {
        check_node(node, false).err().map(|error| {
            assert_eq!(error.code(), candor_domain::ErrorCode::Unsupported);
            assert!(error.what().contains(&node.op_type), "{error}");
            error.what().to_owned()
        })
    }

    #[test]
    fn what_tract_answers_wrongly_is_refused_and_what_stands_beside_it_is_not() {
        let (x, xy) = (&["x"][..], &["x", "y"][..]);
        let state = &["x", "w", "r", "", "", "h", "c"][..];
        let pairs = [
            (node("Celu", x, &[("alpha", Attribute::Float(0.3))]), node("Celu", x, &[])),
            (node("Mod", xy, &[]), node("Sub", xy, &[])),
            (node("LogSoftmax", x, &[]), node("Softmax", x, &[])),
            (node("SpaceToDepth", x, &[("mode", text("CRD"))]), node("DepthToSpace", x, &[("mode", text("CRD"))])),
            (node("Squeeze", x, &[]), node("Squeeze", xy, &[])),
            (node("GRU", &state[..3], &[("direction", text("reverse"))]), node("GRU", &state[..3], &[])),
            (node("GRU", &state[..3], &[("clip", Attribute::Float(1.0))]), node("LSTM", state, &[])),
            (node("LSTM", &state[..3], &[]), node("LSTM", &state[..3], &[("direction", text("bidirectional"))])),
            (
                node("GRU", &state[..3], &[("activations", texts(&["Sigmoid", "Relu"]))]),
                node("GRU", &state[..3], &[("activations", texts(&["Sigmoid", "Tanh", "sigmoid", "tanh"]))]),
            ),
            (
                node("Einsum", xy, &[("equation", text("i,i-> "))]),
                node("Einsum", xy, &[("equation", text("ij,jk->ik"))]),
            ),
            (node("GridSample", xy, &[("mode", text("cubic"))]), node("GridSample", xy, &[("mode", text("linear"))])),
            (node("TopK", xy, &[("sorted", Attribute::Int(0))]), node("TopK", xy, &[("sorted", Attribute::Int(1))])),
            (node("Dropout", &["x", "r", "training"], &[]), node("Dropout", &["x", "r"], &[])),
            (node("Gather", &["", "i"], &[]), node("Clip", &["x", "", "most"], &[])),
            (
                node("BatchNormalization", x, &[("training_mode", Attribute::Int(1))]),
                node("BatchNormalization", x, &[("training_mode", Attribute::Int(0))]),
            ),
            (
                node("Resize", &["x", "", "s"], &[("coordinate_transformation_mode", text("align_corners"))]),
                node("Resize", &["x", "", "", "s"], &[("coordinate_transformation_mode", text("align_corners"))]),
            ),
        ];
        for (wrong, right) in pairs {
            assert!(why(&wrong).is_some(), "{wrong:?}");
            assert_eq!(why(&right), None, "{right:?}");
        }
        let old = |op_type, opset| Node { opset: Some(opset), ..node(op_type, x, &[]) };
        let mask = Node { outputs: vec!["y".to_owned(), "mask".to_owned()], ..old("Dropout", 11) };
        assert!(why(&mask).is_some() && why(&Node { opset: Some(12), ..mask }).is_none());
        assert!(why(&old("Clip", 10)).is_some() && why(&old("Pad", 10)).is_some() && why(&old("Add", 6)).is_some());
    }

    #[test]
    fn other_domains_functions_and_unknown_operators_are_refused_by_name() {
        let scaler = Node { domain: "ai.onnx.ml".to_owned(), ..node("Scaler", &["x"], &[]) };
        assert!(why(&scaler).unwrap().contains("not of ai.onnx.ml"));
        assert!(why(&node("NoSuchOperator", &["x"], &[])).unwrap().contains("lacks it"));
        assert!(check_node(&node("Add", &["x", "y"], &[]), true).unwrap_err().what().contains("function"));
    }

    #[test]
    fn types_are_those_for_which_the_operator_answers_rightly() {
        let types = |name: &str, datatype| is_one_of(find(name).unwrap(), datatype);
        assert!(types("Conv", Datatype::Fp32) && !types("Conv", Datatype::Fp16) && !types("Conv", Datatype::Fp64));
        assert!(types("Pow", Datatype::Fp64) && !types("Pow", Datatype::Int32));
        assert!(types("Equal", Datatype::Bytes) && !types("Equal", Datatype::Bool));
        assert!(types("Transpose", Datatype::Fp16) && types("Where", Datatype::Bool));
        let cast = |to: DataType| node("Cast", &["x"], &[("to", Attribute::Int(to as i64))]);
        assert!(casts_wrongly(&cast(DataType::String), Datatype::Fp32, None));
        assert!(!casts_wrongly(&cast(DataType::String), Datatype::Int32, None));
        assert!(casts_wrongly(&cast(DataType::Int64), Datatype::Bytes, None));
        assert!(!casts_wrongly(&cast(DataType::Int32), Datatype::Bytes, None));
    }

    #[test]
    fn numbers_are_careless_where_the_graph_is() {
        let graph = |nodes| {
            let mut graph = Graph::default();
            graph.nodes = nodes;
            graph
        };
        let relu = Careless::of(&graph(vec![node("Relu", &["x"], &[])]));
        assert_eq!(relu.objection(f64::NAN), Some(("Relu", "a not-a-number")));
        assert_eq!((relu.objection(f64::INFINITY), relu.objection(1.0)), (None, None));
        let open = Careless::of(&graph(vec![node("Clip", &["x", "", "most"], &[])]));
        assert_eq!(open.objection(f64::INFINITY), Some(("Clip", "an infinity")));
        let closed = Careless::of(&graph(vec![node("Clip", &["x", "least", "most"], &[])]));
        assert_eq!(closed.objection(f64::INFINITY), None);
        assert_eq!(Careless::of(&graph(vec![node("Add", &["x", "y"], &[])])), Careless::default());
    }
}
