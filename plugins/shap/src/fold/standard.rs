//! ONNX's own operators, as far as every column that they make comes of one feature.
//!
//! What computes with rounding that a runtime is free to choose (logarithms, powers) is refused, because a column at a
//! threshold would not be certain.

use std::sync::Arc;

use candor_onnx::{DataType, Node};

use super::{
    expr::{Expr, Kind, One, Two},
    value::{Columns, Fixed, Shaped, Value, broadcast, kind, told},
};
use crate::refusal::Refusal;

type Made = Result<Vec<Value>, Refusal>;

/// What a node makes of its inputs; none for an operator that is not known here.
pub fn made(node: &Node, inputs: &[Option<&Value>]) -> Option<Made> {
    use Two::{Add, And, Div, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Max, Min, Mul, Or, Sub};
    let one = |one: One| Some(unary(inputs, one));
    let two = |two: Two| Some(binary(inputs, two));
    match &*node.op_type {
        "Identity" => Some(input(inputs, 0).map(|value| vec![value.clone()])),
        "Cast" => Some(cast(node, inputs)),
        "Concat" => Some(concat(node, inputs)),
        "Gather" => Some(gather(node, inputs)),
        "Split" => Some(split(node, inputs)),
        "Slice" => Some(slice(inputs)),
        "Reshape" => Some(reshape(inputs)),
        "Flatten" => Some(flatten(node, inputs)),
        "Squeeze" => Some(squeeze(node, inputs)),
        "Unsqueeze" => Some(unsqueeze(node, inputs)),
        "Clip" => Some(clip(node, inputs)),
        "Where" => Some(choose(inputs)),
        "Add" => two(Add),
        "Sub" => two(Sub),
        "Mul" => two(Mul),
        "Div" => two(Div),
        "Min" => two(Min),
        "Max" => two(Max),
        "Less" => two(Less),
        "LessOrEqual" => two(LessOrEqual),
        "Greater" => two(Greater),
        "GreaterOrEqual" => two(GreaterOrEqual),
        "Equal" => two(Equal),
        "And" => two(And),
        "Or" => two(Or),
        "Neg" => one(One::Neg),
        "Abs" => one(One::Abs),
        "Sqrt" => one(One::Sqrt(Kind::F32)),
        "Floor" => one(One::Floor),
        "Ceil" => one(One::Ceil),
        "Not" => one(One::Not),
        "IsNaN" => one(One::IsNan),
        _ => None,
    }
}

/// An input that must be there.
pub fn input<'a>(inputs: &[Option<&'a Value>], at: usize) -> Result<&'a Value, Refusal> {
    inputs.get(at).copied().flatten().ok_or_else(|| Refusal::new(format!("input {at} is not there")))
}

/// An input of columns.
pub fn columns<'a>(inputs: &[Option<&'a Value>], at: usize) -> Result<&'a Columns, Refusal> {
    match input(inputs, at)? {
        Value::Columns(columns) => Ok(columns),
        Value::Fixed(_) => Err(Refusal::new("it works on a constant alone")),
        Value::Scores(_) | Value::Label => {
            Err(Refusal::new("what it reads mixes features: a product with a matrix, or what a model answers"))
        }
    }
}

/// An input that is a constant.
pub fn fixed<'a>(inputs: &[Option<&'a Value>], at: usize) -> Result<&'a Fixed, Refusal> {
    match input(inputs, at)? {
        Value::Fixed(fixed) => Ok(fixed),
        Value::Columns(_) | Value::Scores(_) | Value::Label => {
            Err(Refusal::new(format!("input {at} is no constant of the file")))
        }
    }
}

fn made_of(columns: Result<Columns, Refusal>) -> Made {
    columns.map(|columns| vec![Value::Columns(columns)])
}

fn numbers(columns: &Columns) -> Result<&Columns, Refusal> {
    if columns.kind == Kind::Text { Err(Refusal::new("it computes with text")) } else { Ok(columns) }
}

fn unary(inputs: &[Option<&Value>], one: One) -> Made {
    let columns = numbers(columns(inputs, 0)?)?;
    let is_flag = matches!(one, One::Not | One::IsNan);
    let kind = if is_flag { Kind::Bool } else { columns.kind };
    let one = if matches!(one, One::Sqrt(_)) { One::Sqrt(kind) } else { one };
    made_of(columns.each(kind, |cell| Expr::one(one.clone(), cell)))
}

/// How many dimensions there are behind the first, by the inputs that have rows.
fn rank(inputs: &[&Value]) -> Result<usize, Refusal> {
    let of = |value: &&Value| if let Value::Columns(columns) = value { Some(columns.dims.len()) } else { None };
    inputs.iter().filter_map(of).max().ok_or_else(|| Refusal::new("it works on constants alone"))
}

fn binary(inputs: &[Option<&Value>], two: Two) -> Made {
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    if inputs.len() != 2 {
        return Err(Refusal::new("it has other than two inputs"));
    }
    let rank = rank(&[a, b])?;
    let ((a, kind), (b, other)) = (Shaped::of(a, rank)?, Shaped::of(b, rank)?);
    if (kind == Kind::Text) != (other == Kind::Text) || (kind == Kind::Text && two != Two::Equal) {
        return Err(Refusal::new("it computes with text"));
    }
    let arithmetic = matches!(two, Two::Add | Two::Sub | Two::Mul | Two::Div | Two::Min | Two::Max);
    if arithmetic && kind == Kind::Int && two == Two::Div {
        return Err(Refusal::new("it divides integers"));
    }
    let kind = if arithmetic { kind } else { Kind::Bool };
    let dims = broadcast(&[&a, &b], rank)?;
    let cells = (0..dims.iter().product()).map(|place| {
        let (Some(a), Some(b)) = (a.at(place, &dims), b.at(place, &dims)) else { return Err(short()) };
        Expr::two(two, kind, a, b)
    });
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    made_of(Columns::new(kind, dims, cells))
}

fn short() -> Refusal {
    Refusal::new("a constant has fewer elements than its dimensions say")
}

fn choose(inputs: &[Option<&Value>]) -> Made {
    let values = [input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?];
    let rank = rank(&values)?;
    let ((which, _), (a, kind), (b, other)) =
        (Shaped::of(values[0], rank)?, Shaped::of(values[1], rank)?, Shaped::of(values[2], rank)?);
    if kind != other {
        return Err(Refusal::new("it chooses between two types"));
    }
    let dims = broadcast(&[&which, &a, &b], rank)?;
    let cells = (0..dims.iter().product()).map(|place| {
        match (which.at(place, &dims), a.at(place, &dims), b.at(place, &dims)) {
            (Some(which), Some(a), Some(b)) => Expr::either(which, a, b),
            _ => Err(short()),
        }
    });
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    made_of(Columns::new(kind, dims, cells))
}

/// `to` of a `Cast`.
pub fn cast_to(node: &Node) -> Result<Kind, Refusal> {
    let to = node.int("to").map_err(|error| told(&error))?;
    let to = to.and_then(|to| DataType::from_number(i32::try_from(to).ok()?));
    kind(to.ok_or_else(|| Refusal::new("it names no type"))?)
}

fn cast(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let (to, columns) = (cast_to(node)?, columns(inputs, 0)?);
    if to == columns.kind {
        return Ok(vec![Value::Columns(columns.clone())]);
    }
    if to == Kind::Text || columns.kind == Kind::Text {
        return Err(Refusal::new("it writes numbers as text, or reads them"));
    }
    made_of(columns.each(to, |cell| Expr::one(One::As(to), cell)))
}

fn axis_of(node: &Node, default: i64) -> Result<i64, Refusal> {
    Ok(node.int("axis").map_err(|error| told(&error))?.unwrap_or(default))
}

fn concat(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let list = (0..inputs.len()).map(|at| columns(inputs, at)).collect::<Result<Vec<_>, _>>()?;
    let first = *list.first().ok_or_else(|| Refusal::new("it has no inputs"))?;
    let axis = first.axis(axis_of(node, 1)?)?;
    let (mut dims, mut size) = (first.dims.clone(), 0);
    for columns in &list {
        let alike = columns.dims.len() == dims.len()
            && columns.dims.iter().zip(&dims).enumerate().all(|(at, (own, first))| at == axis || own == first);
        if !alike || columns.kind != first.kind {
            return Err(Refusal::new("its inputs differ in shape or type"));
        }
        size += columns.dims.get(axis).copied().unwrap_or(1);
    }
    let outer: usize = dims.iter().take(axis).product();
    let mut cells = Vec::new();
    for at in 0..outer {
        for columns in &list {
            let block = columns.cells.len() / outer.max(1);
            cells.extend(columns.cells.iter().skip(at * block).take(block).cloned());
        }
    }
    if let Some(dim) = dims.get_mut(axis) {
        *dim = size;
    }
    made_of(Columns::new(first.kind, dims, cells))
}

/// Positions as a file has them: negative ones count from the end.
pub fn positions(raw: &[i64], size: usize) -> Result<Vec<usize>, Refusal> {
    let place = |raw: &i64| {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let at = if *raw < 0 { raw + size } else { *raw };
        usize::try_from(at).map_err(|_| Refusal::new(format!("position {raw} of {size}")))
    };
    raw.iter().map(place).collect()
}

fn gather(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let (columns, picks) = (columns(inputs, 0)?, fixed(inputs, 1)?);
    let axis = columns.axis(axis_of(node, 0)?)?;
    if picks.dims.len() > 1 {
        return Err(Refusal::new("its indices have several dimensions"));
    }
    let size = columns.dims.get(axis).copied().unwrap_or(1);
    let mut picked = columns.picked(axis, &positions(&picks.integers(), size)?)?;
    if picks.dims.is_empty() {
        picked.dims.remove(axis);
    }
    Ok(vec![Value::Columns(picked)])
}

fn split(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = columns(inputs, 0)?;
    let axis = columns.axis(axis_of(node, 0)?)?;
    let size = columns.dims.get(axis).copied().unwrap_or(1);
    let listed = node.ints("split").map_err(|error| told(&error))?.map(<[i64]>::to_vec);
    let listed = if inputs.len() > 1 { Some(fixed(inputs, 1)?.integers()) } else { listed };
    let parts = node.outputs.len().max(1);
    let even = || vec![i64::try_from(size.div_ceil(parts)).unwrap_or(i64::MAX); parts];
    let mut from = 0;
    let part = |length: i64| {
        let to = from + usize::try_from(length).unwrap_or(usize::MAX).min(size - from);
        let positions: Vec<usize> = (from..to).collect();
        from = to;
        columns.picked(axis, &positions).map(Value::Columns)
    };
    listed.unwrap_or_else(even).into_iter().map(part).collect()
}

fn slice(inputs: &[Option<&Value>]) -> Made {
    let columns = columns(inputs, 0)?;
    let (starts, ends) = (fixed(inputs, 1)?.integers(), fixed(inputs, 2)?.integers());
    let axes = if inputs.get(3).is_some_and(Option::is_some) { fixed(inputs, 3)?.integers() } else { vec![0] };
    let steps = if inputs.get(4).is_some_and(Option::is_some) { fixed(inputs, 4)?.integers() } else { vec![1] };
    let ([start], [end], [axis], [1]) = (&starts[..], &ends[..], &axes[..], &steps[..]) else {
        return Err(Refusal::new("it cuts several axes, or in steps"));
    };
    let axis = columns.axis(*axis)?;
    let size = columns.dims.get(axis).copied().unwrap_or(1);
    let place = |raw: i64| {
        let length = i64::try_from(size).unwrap_or(i64::MAX);
        usize::try_from(if raw < 0 { raw.saturating_add(length) } else { raw }.clamp(0, length)).unwrap_or(0)
    };
    let positions: Vec<usize> = (place(*start)..place(*end)).collect();
    made_of(columns.picked(axis, &positions))
}

/// The dimensions behind the first that `Reshape` asks for, of so many cells.
pub fn reshaped(wanted: &[i64], dims: &[usize], cells: usize) -> Result<Vec<usize>, Refusal> {
    let (first, rest) = wanted.split_first().ok_or_else(|| Refusal::new("it makes a scalar"))?;
    let at = |(at, raw): (usize, &i64)| match raw {
        0 => Ok(dims.get(at).copied().unwrap_or(1)),
        -1 => Ok(0),
        raw => usize::try_from(*raw).map_err(|_| Refusal::new("it has a negative size")),
    };
    let mut made = rest.iter().enumerate().map(at).collect::<Result<Vec<_>, _>>()?;
    let known: usize = made.iter().filter(|dim| **dim > 0).product();
    // A guess within a row is right only if the rows are left alone.
    if rest.contains(&-1) {
        if *first != 0 || known == 0 || !cells.is_multiple_of(known) {
            return Err(Refusal::new("it moves numbers from row to row"));
        }
        made.iter_mut().filter(|dim| **dim == 0).for_each(|dim| *dim = cells / known);
    }
    if made.iter().product::<usize>() != cells || (*first != -1 && *first != 0) {
        return Err(Refusal::new("it moves numbers from row to row"));
    }
    Ok(made)
}

fn reshape(inputs: &[Option<&Value>]) -> Made {
    let (columns, wanted) = (columns(inputs, 0)?, fixed(inputs, 1)?.integers());
    let dims = reshaped(&wanted, &columns.dims, columns.cells.len())?;
    made_of(Columns::new(columns.kind, dims, columns.cells.clone()))
}

fn flatten(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = columns(inputs, 0)?;
    if axis_of(node, 1)? != 1 {
        return Err(Refusal::new("it moves numbers from row to row"));
    }
    made_of(Columns::new(columns.kind, vec![columns.cells.len()], columns.cells.clone()))
}

fn axes(node: &Node, inputs: &[Option<&Value>]) -> Result<Vec<i64>, Refusal> {
    if inputs.len() > 1 {
        return Ok(fixed(inputs, 1)?.integers());
    }
    let axes = node.ints("axes").map_err(|error| told(&error))?;
    Ok(axes.ok_or_else(|| Refusal::new("it names no axes"))?.to_vec())
}

fn squeeze(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = columns(inputs, 0)?;
    let axes = axes(node, inputs)?.iter().map(|axis| columns.axis(*axis)).collect::<Result<Vec<_>, _>>()?;
    if axes.iter().any(|axis| columns.dims.get(*axis) != Some(&1)) {
        return Err(Refusal::new("it drops a dimension of more than one"));
    }
    let dims = columns.dims.iter().enumerate().filter(|(at, _)| !axes.contains(at)).map(|(_, dim)| *dim).collect();
    made_of(Columns::new(columns.kind, dims, columns.cells.clone()))
}

fn unsqueeze(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = columns(inputs, 0)?;
    let [axis] = axes(node, inputs)?[..] else { return Err(Refusal::new("it adds several dimensions")) };
    let mut dims = columns.dims.clone();
    dims.push(1);
    let at = Columns { kind: columns.kind, dims: dims.clone(), cells: Vec::new() }.axis(axis)?;
    dims.pop();
    dims.insert(at, 1);
    made_of(Columns::new(columns.kind, dims, columns.cells.clone()))
}

fn clip(node: &Node, inputs: &[Option<&Value>]) -> Made {
    let columns = numbers(columns(inputs, 0)?)?;
    let bound = |at: usize, name: &str, none: f64| -> Result<f64, Refusal> {
        if inputs.get(at).is_some_and(Option::is_some) {
            return Ok(fixed(inputs, at)?.numbers.first().copied().unwrap_or(none));
        }
        Ok(node.float(name).map_err(|error| told(&error))?.map_or(none, f64::from))
    };
    let (low, high) = (bound(1, "min", f64::NEG_INFINITY)?, bound(2, "max", f64::INFINITY)?);
    made_of(columns.each(columns.kind, |cell: &Arc<Expr>| Expr::one(One::Clip(low, high), cell)))
}
