//! Sizes and loops that the file itself fixes, work that depends on the values of inputs, and answers by chance.
//!
//! An operator such as `ConstantOfShape` makes terabytes of eight bytes. Where its sizes are constants of
//! the file they are worked out here; where they are computed, the engine meets them at run time, and the
//! model is said to cost what its inputs' values ask for.

use std::borrow::Cow;

use super::{Scan, Topic};
use crate::{
    error::{Error, ErrorKind},
    graph::{Attribute, Graph, Node, Origin},
    limits::Limits,
    tensor::Tensor,
    types::Dim,
    walk::{Place, Visit},
};

pub(super) struct Values<'a> {
    limits: &'a Limits,
    scan: &'a mut Scan,
}

/// Longer than this is worth a warning; the limits refuse.
const WARN_SHARE: u64 = 16;

impl<'a> Values<'a> {
    pub(super) const fn new(limits: &'a Limits, scan: &'a mut Scan) -> Self {
        Self { limits, scan }
    }

    /// Says so if a fixed size is large.
    fn judge_size(&mut self, elements: u64, element_bytes: u64, place: &Place<'_>) {
        let bytes = elements.saturating_mul(element_bytes);
        let max = self.limits.static_bytes;
        let error = || {
            let error = Error::new(ErrorKind::Limit, "the file fixes a value of enormous size").at(place);
            error.expected(format!("at most {max} bytes")).got(bytes.to_string())
        };
        if bytes > max {
            self.scan.refuse(Topic::Size, error());
        } else if bytes > max / WARN_SHARE {
            self.scan.warn(Topic::Size, error());
        }
    }

    fn judge_loop(&mut self, node: &Node, around: &Graph, place: &Place<'_>) {
        let Some(own) = trips(node, around, place) else {
            let what = "a loop runs as often as the values of inputs say";
            self.scan.note(Topic::Cost, Error::invalid(what).at(place));
            return;
        };
        let trips = enclosing(place).fold(own, u64::saturating_mul);
        let max = self.limits.static_trips;
        let error = || {
            let error = Error::new(ErrorKind::Limit, "the file fixes a loop of enormous length").at(place);
            error.expected(format!("at most {max} rounds, with those of loops around it")).got(trips.to_string())
        };
        if trips > max {
            self.scan.refuse(Topic::Loop, error());
        } else if trips > max / WARN_SHARE {
            self.scan.warn(Topic::Loop, error());
        }
    }
}

impl Visit for Values<'_> {
    fn node(&mut self, node: &Node, around: &Graph, place: &Place<'_>) {
        if self.scan.random.is_none() && is_random(node, around, place) {
            self.scan.random = Some(place.to_string());
        }
        if !node.domain.is_empty() {
            return;
        }
        match &*node.op_type {
            "Loop" => {
                self.scan.cost_depends_on_values = true;
                self.judge_loop(node, around, place);
            }
            "Scan" => self.scan.cost_depends_on_values = true,
            "RandomNormal" | "RandomUniform" => {
                if let Some(Attribute::Ints(shape)) = node.attributes.get("shape") {
                    self.judge_size(product(shape), 4, place);
                }
            }
            "ConstantOfShape" | "Range" | "Expand" | "Tile" | "Resize" | "Upsample" | "Pad" => {
                match size(node, around, place) {
                    Fixed::At(elements, bytes) => self.judge_size(elements, bytes, place),
                    Fixed::Nothing => {}
                    Fixed::ByValues => self.scan.cost_depends_on_values = true,
                }
            }
            _ => {}
        }
    }

    fn graph(&mut self, graph: &Graph, place: &Place<'_>) {
        let declared = graph.inputs.iter().chain(&graph.outputs).chain(&graph.value_infos);
        for info in declared {
            let Some((element, Some(shape))) = info.tensor() else { continue };
            let fixed = shape.iter().filter_map(|dim| if let Dim::Fixed(size) = dim { Some(*size) } else { None });
            let bytes = fixed.fold(1, u64::saturating_mul).saturating_mul(element.bits().unwrap_or(8).div_ceil(8));
            if bytes > self.limits.static_bytes {
                let what = format!("the value {} is declared with an enormous size", crate::quoted(&info.name));
                let error = Error::new(ErrorKind::Limit, what).at(place);
                let max = self.limits.static_bytes;
                self.scan.warn(Topic::Size, error.expected(format!("at most {max} bytes")).got(bytes.to_string()));
            }
        }
    }
}

/// Whether a node draws its output by chance. A seed makes a file's first answers repeatable, not each answer.
fn is_random(node: &Node, around: &Graph, place: &Place<'_>) -> bool {
    match (&*node.domain, &*node.op_type) {
        (
            "",
            "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike" | "Multinomial" | "Bernoulli",
        )
        | ("com.microsoft", "Sampling" | "BiasDropout" | "BitmaskDropout" | "BitmaskBiasDropout") => true,
        // Dropout drops nothing unless it is told that this is training: since version 12 by an input, before 7 by the
        // lack of an attribute.
        ("", "Dropout") => {
            let told = node.inputs.get(2).filter(|name| !name.is_empty());
            let is_off = |name: &String| {
                let constant = constant(name, around, place);
                constant.is_some_and(|tensor| tensor.values::<bool>().is_ok_and(|list| list.iter().all(|on| !on)))
            };
            let is_old = node.opset.is_some_and(|opset| opset < 7);
            told.is_some_and(|name| !is_off(name))
                || is_old && node.int("is_test").ok().flatten().is_none_or(|is_test| is_test == 0)
        }
        _ => false,
    }
}

/// What the file says about the size of a node's output.
enum Fixed {
    /// At least so many elements of so many bytes.
    At(u64, u64),
    /// No more than the shapes of its inputs.
    Nothing,
    /// It is computed.
    ByValues,
}

fn size(node: &Node, around: &Graph, place: &Place<'_>) -> Fixed {
    let input = |at: usize| node.inputs.get(at).filter(|name| !name.is_empty());
    // Inputs that set the size.
    let setting: &[usize] = match &*node.op_type {
        "Range" => &[0, 1, 2],
        "ConstantOfShape" => &[0],
        "Resize" if node.opset.is_some_and(|opset| opset > 10) => &[2, 3],
        _ => &[1],
    };
    let mut constants = Vec::new();
    for name in setting.iter().filter_map(|at| input(*at)) {
        match constant(name, around, place) {
            Some(tensor) => constants.push(tensor),
            None => return Fixed::ByValues,
        }
    }
    let ints = |at: usize| constants.get(at).and_then(|tensor| tensor.values::<i64>().ok());
    let whole = |at: usize| ints(at).map(|list| product(&list));
    match &*node.op_type {
        "ConstantOfShape" => {
            let value = node.tensor("value").ok().flatten();
            let bits = value.and_then(|value| value.data_type.bits()).unwrap_or(32);
            whole(0).map_or(Fixed::Nothing, |elements| Fixed::At(elements, bits.div_ceil(8)))
        }
        "Range" => {
            let numbers: Vec<f64> = constants.iter().filter_map(|tensor| number(tensor)).collect();
            let [start, limit, delta] = numbers[..] else { return Fixed::Nothing };
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN is nothing")]
            let elements = ((limit - start) / delta).ceil().max(0.0) as u64;
            Fixed::At(elements, constants.first().and_then(|tensor| tensor.data_type.bits()).unwrap_or(32).div_ceil(8))
        }
        "Expand" => whole(0).map_or(Fixed::Nothing, |elements| Fixed::At(elements, 1)),
        "Tile" => {
            let repeated = input(0).and_then(|name| constant(name, around, place));
            let bytes = repeated.and_then(|tensor| tensor.raw_bytes()).unwrap_or(1);
            whole(0).map_or(Fixed::Nothing, |times| Fixed::At(times, bytes.max(1)))
        }
        "Pad" => ints(0).map_or(Fixed::Nothing, |pads| {
            Fixed::At(pads.iter().map(|pad| u64::try_from(*pad).unwrap_or(0)).max().unwrap_or(0), 1)
        }),
        _ => {
            let sizes = constants.iter().rev().find_map(|tensor| tensor.values::<i64>().ok());
            let scales = constants.iter().find_map(|tensor| tensor.values::<f32>().ok());
            let scaled = scales.map(|scales| scales.iter().map(|scale| f64::from(*scale).max(1.0)).product::<f64>());
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN is nothing")]
            let scaled = scaled.map(|product| product as u64);
            let sizes = sizes.filter(|sizes| !sizes.is_empty()).map(|sizes| product(&sizes));
            sizes.or(scaled).map_or(Fixed::Nothing, |elements| Fixed::At(elements, 1))
        }
    }
}

/// Negative numbers, which stand for something else, count as one.
fn product(dims: &[i64]) -> u64 {
    dims.iter().map(|dim| u64::try_from(*dim).unwrap_or(1)).fold(1, u64::saturating_mul)
}

/// A single number.
#[allow(clippy::cast_precision_loss, reason = "its size is what counts")]
fn number(tensor: &Tensor) -> Option<f64> {
    let float = tensor.values::<f32>().ok().and_then(|list| list.first().map(|number| f64::from(*number)));
    let double = || tensor.values::<f64>().ok()?.first().copied();
    let long = || tensor.values::<i64>().ok()?.first().map(|number| *number as f64);
    let int = || tensor.values::<i32>().ok()?.first().map(|number| f64::from(*number));
    float.or_else(double).or_else(long).or_else(int)
}

/// How often a loop runs at most, if the file says it.
fn trips(node: &Node, around: &Graph, place: &Place<'_>) -> Option<u64> {
    let name = node.inputs.first().filter(|name| !name.is_empty())?;
    let trips = *constant(name, around, place)?.values::<i64>().ok()?.first()?;
    Some(u64::try_from(trips).unwrap_or(0))
}

/// Rounds of the loops around a place, as far as the file says them.
fn enclosing<'a>(place: &'a Place<'a>) -> impl Iterator<Item = u64> {
    let outward = |place: &&'a Place<'a>| outer(place);
    let around = std::iter::successors(outer(place), outward);
    around.filter_map(|place| {
        let Place::Node(within @ Place::Graph(_, graph), _, node) = place else { return None };
        if node.op_type == "Loop" { trips(node, graph, within) } else { None }
    })
}

const fn outer<'a>(place: &'a Place<'a>) -> Option<&'a Place<'a>> {
    match place {
        Place::Graph(outer, _) | Place::Node(outer, ..) | Place::Attribute(outer, _) => Some(outer),
        Place::Model | Place::Training | Place::Function(_) => None,
    }
}

/// The constant of this name, here or in a graph around: an initializer that no caller can replace, or the
/// value of a `Constant` node.
fn constant<'a>(name: &str, around: &'a Graph, place: &'a Place<'a>) -> Option<Cow<'a, Tensor>> {
    let graphs = std::iter::successors(Some(place), |place| outer(place));
    let graphs = graphs.filter_map(|place| if let Place::Graph(_, graph) = place { Some(*graph) } else { None });
    let graph = std::iter::once(around).chain(graphs).find(|graph| graph.origin(name).is_some())?;
    match graph.origin(name)? {
        Origin::Initializer(at) if graph.input(name).is_none() => graph.initializers.get(at).map(Cow::Borrowed),
        Origin::Node { node, .. } => {
            let node = graph.nodes.get(node).filter(|node| node.op_type == "Constant" && node.domain.is_empty())?;
            if let Some(tensor) = node.tensor("value").ok().flatten() {
                return Some(Cow::Borrowed(tensor));
            }
            let int = node.int("value_int").ok().flatten().map(|int| vec![int]);
            let ints = int.or_else(|| node.ints("value_ints").ok().flatten().map(<[i64]>::to_vec));
            let float = node.float("value_float").ok().flatten().map(|float| vec![float]);
            let floats = float.or_else(|| node.floats("value_floats").ok().flatten().map(<[f32]>::to_vec));
            let tensor = ints.map(Tensor::of_ints).or_else(|| floats.map(Tensor::of_floats))?;
            Some(Cow::Owned(tensor))
        }
        Origin::Initializer(_) | Origin::Input(_) | Origin::SparseInitializer(_) => None,
    }
}
