//! Comparisons and what follows from them: Equal, Less, …, And, Or, Xor, Where.
//!
//! Comparisons are those of the element type: a not-a-number is equal to nothing and less than nothing.

use candor_domain::{BytesArray, Datatype, Result, Tensor, TensorData};

use super::{
    dims::{Broadcast, Dims, broadcast},
    element::{Element, other_type, view},
    infer,
    moves::Strings,
    pairs::{Align, zip},
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

fn compared<T: Element>(build: &Build<'_>, of: fn(&T, &T) -> bool) -> Result<Built> {
    let align = Align::of(build)?;
    Built::by(Datatype::Bool, infer::broadcast(build), move |args, buffers| {
        zip(args, buffers, align, TensorData::Bool, |a: T, b: T| u8::from(of(&a, &b)))
    })
}

fn same_types(build: &Build<'_>) -> Result<Datatype> {
    let datatype = build.input(0)?.datatype;
    if build.input(1)?.datatype == datatype { Ok(datatype) } else { Err(build.wrong_datatype(1, datatype.name())) }
}

macro_rules! compare {
    ($($(#[$doc:meta])* $name:ident: $type:ident => $of:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(build: &Build<'_>) -> Result<Built> {
            by_number!(
                same_types(build)?,
                $type => compared::<$type>(build, $of),
                Err(build.wrong_datatype(0, "a number"))
            )
        })*
    };
}

compare! {
    /// `Less`.
    less: T => T::lt;
    /// `LessOrEqual`.
    less_or_equal: T => T::le;
    /// `Greater`.
    greater: T => T::gt;
    /// `GreaterOrEqual`.
    greater_or_equal: T => T::ge;
}

/// `Equal`, of strings too.
pub(super) fn equal(build: &Build<'_>) -> Result<Built> {
    let datatype = same_types(build)?;
    let align = Align::of(build)?;
    by_stored!(
        datatype,
        T => compared::<T>(build, T::eq),
        Built::by(Datatype::Bool, infer::broadcast(build), move |args, buffers| {
            let (first, second) = (args.get(0)?, args.get(1)?);
            let Broadcast { dims, walk, .. } = align.lay(first, second)?;
            let (first, second) = (strings(first)?, strings(second)?);
            let shape = dims.shape()?;
            let mut to = buffers.take(shape.elements())?;
            walk.each_element(|[a, b]| to.push(u8::from(first.get(a) == second.get(b))));
            Tensor::new(shape, TensorData::Bool(to))
        })
    )
}

/// The strings of an input.
pub(super) fn strings(tensor: &Tensor) -> Result<&BytesArray> {
    if let TensorData::Bytes(strings) = tensor.data() { Ok(strings) } else { Err(other_type(tensor)) }
}

/// `And`, `Or` and `Xor`.
pub(super) fn logical(build: &Build<'_>) -> Result<Built> {
    if same_types(build)? != Datatype::Bool {
        return Err(build.wrong_datatype(0, "BOOL"));
    }
    let align = Align::of(build)?;
    let of: fn(u8, u8) -> u8 = match build.node.op_type.as_str() {
        "And" => |a, b| u8::from(a != 0 && b != 0),
        "Or" => |a, b| u8::from(a != 0 || b != 0),
        _ => |a, b| u8::from((a != 0) != (b != 0)),
    };
    Built::by(Datatype::Bool, infer::broadcast(build), move |args, buffers| {
        zip(args, buffers, align, TensorData::Bool, of)
    })
}

/// `Where`: the second where the first is true, else the third.
pub(super) fn choose(build: &Build<'_>) -> Result<Built> {
    if build.input(0)?.datatype != Datatype::Bool {
        return Err(build.wrong_datatype(0, "BOOL"));
    }
    let datatype = build.input(1)?.datatype;
    if build.input(2)?.datatype != datatype {
        return Err(build.wrong_datatype(2, datatype.name()));
    }
    Built::by(datatype, infer::broadcast(build), run_choose)
}

fn run_choose(args: &mut Args<'_>, buffers: &mut Buffers) -> Result<Tensor> {
    let (condition, yes, no) = (args.get(0)?, args.get(1)?, args.get(2)?);
    let of = [condition, yes, no].map(|tensor| Dims::from(tensor.shape()));
    let Broadcast { dims, walk, .. } = broadcast(of)?;
    let shape = dims.shape()?;
    let condition = view::<u8>(condition)?;
    let is = |at: usize| condition.get(at).is_some_and(|truth| *truth != 0);
    let data = copied!(yes.data(),
        yes => {
            let mut to = buffers.take(shape.elements())?;
            let no = same(yes, no)?;
            walk.each_element(|[at, a, b]| to.extend(if is(at) { yes.get(a) } else { no.get(b) }));
            to
        },
        yes => {
            let no = strings(no)?;
            let mut to = Strings::of(shape.elements())?;
            let mut outcome = Ok(());
            walk.each_element(|[at, a, b]| {
                if outcome.is_ok() && let Some(string) = if is(at) { yes.get(a) } else { no.get(b) } {
                    outcome = to.push(string);
                }
            });
            outcome?;
            to.done()
        }
    );
    Tensor::new(shape, data)
}

/// Another input's vector, of the same type as the first's.
pub(super) fn same<'a, T: Element>(_: &[T], tensor: &'a Tensor) -> Result<&'a [T]> {
    view(tensor)
}
