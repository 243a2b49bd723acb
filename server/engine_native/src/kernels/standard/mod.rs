//! Operators of `ai.onnx`, by the specification (docs/Operators.md of the ONNX project).
//!
//! | module | operators |
//! |---|---|
//! | `identity` | Identity, Dropout, Reshape, Flatten, Squeeze, Unsqueeze |
//! | `cast` | Cast, CastLike |
//! | `unary` | functions of each element |
//! | `arithmetic` | Add, Sub, Mul, Div, Pow, Mod; Max, Min, Sum, Mean; Clip |
//! | `compare` | comparisons, And, Or, Xor, Where |
//! | `matrix` | MatMul, Gemm |
//! | `arrange`, `pad` | Concat, Transpose, Expand, Tile, Trilu, Pad |
//! | `slice` | Slice, Split, Compress |
//! | `gather`, `scatter` | by indices: Gather…, Scatter…, OneHot |
//! | `reduce` | Reduce…, CumSum, CumProd |
//! | `select` | ArgMax, ArgMin, TopK, NonZero |
//! | `constant` | Constant, ConstantOfShape, EyeLike, Range, Shape, Size |
//! | `text`, `ngrams` | StringConcat, StringNormalizer, StringSplit; TfIdfVectorizer |
//! | `softmax` | Softmax, LogSoftmax, Hardmax |
//!
//! What they share: `element` (datatypes as Rust types), `dims` (axes, broadcasting, walks), `pairs` (loops of
//! two inputs), `moves` (elements of any type copied), `curves` (exp and tanh), `infer` (dimensions that follow from
//! the file).

#[macro_use]
mod element;
#[macro_use]
pub(super) mod moves;
mod arithmetic;
mod arrange;
mod cast;
mod compare;
mod constant;
mod curves;
mod dims;
mod gather;
mod identity;
mod infer;
mod matrix;
mod ngrams;
mod pad;
mod pairs;
mod reduce;
mod scatter;
mod select;
mod slice;
mod softmax;
#[cfg(test)]
mod tests;
mod text;
mod unary;

use super::Builder;

/// Every operator by name.
pub(super) const TABLE: &[(&str, Builder)] = &[
    ("Abs", unary::abs),
    ("Acos", unary::acos),
    ("Acosh", unary::acosh),
    ("Add", arithmetic::add),
    ("And", compare::logical),
    ("ArgMax", select::arg),
    ("ArgMin", select::arg),
    ("Asin", unary::asin),
    ("Asinh", unary::asinh),
    ("Atan", unary::atan),
    ("Atanh", unary::atanh),
    ("BitwiseAnd", arithmetic::bitwise),
    ("BitwiseNot", unary::bitwise_not),
    ("BitwiseOr", arithmetic::bitwise),
    ("BitwiseXor", arithmetic::bitwise),
    ("Cast", cast::cast),
    ("CastLike", cast::cast_like),
    ("Ceil", unary::ceil),
    ("Celu", unary::celu),
    ("Clip", arithmetic::clip),
    ("Compress", slice::compress),
    ("Concat", arrange::concat),
    ("Constant", constant::constant),
    ("ConstantOfShape", constant::of_shape),
    ("Cos", unary::cos),
    ("Cosh", unary::cosh),
    ("CumProd", reduce::cumulative),
    ("CumSum", reduce::cumulative),
    ("Div", arithmetic::div),
    ("Dropout", identity::dropout),
    ("Elu", unary::elu),
    ("Equal", compare::equal),
    ("Erf", unary::erf),
    ("Exp", unary::exp),
    ("Expand", arrange::expand),
    ("EyeLike", constant::eye_like),
    ("Flatten", identity::flatten),
    ("Floor", unary::floor),
    ("Gather", gather::gather),
    ("GatherElements", gather::elements),
    ("GatherND", gather::nd),
    ("Gelu", unary::gelu),
    ("Gemm", matrix::gemm),
    ("Greater", compare::greater),
    ("GreaterOrEqual", compare::greater_or_equal),
    ("HardSigmoid", unary::hard_sigmoid),
    ("HardSwish", unary::hard_swish),
    ("Hardmax", softmax::hardmax),
    ("Identity", identity::identity),
    ("IsInf", unary::is_inf),
    ("IsNaN", unary::is_nan),
    ("LeakyRelu", unary::leaky_relu),
    ("Less", compare::less),
    ("LessOrEqual", compare::less_or_equal),
    ("Log", unary::log),
    ("LogSoftmax", softmax::log_softmax),
    ("MatMul", matrix::matmul),
    ("Max", arithmetic::max),
    ("Mean", arithmetic::mean),
    ("Min", arithmetic::min),
    ("Mish", unary::mish),
    ("Mod", arithmetic::modulo),
    ("Mul", arithmetic::mul),
    ("Neg", unary::neg),
    ("NonZero", select::non_zero),
    ("Not", unary::not),
    ("OneHot", gather::one_hot),
    ("Or", compare::logical),
    ("PRelu", arithmetic::prelu),
    ("Pad", pad::pad),
    ("Pow", arithmetic::pow),
    ("Range", constant::range),
    ("Reciprocal", unary::reciprocal),
    ("ReduceL1", reduce::reduce),
    ("ReduceL2", reduce::reduce),
    ("ReduceLogSum", reduce::reduce),
    ("ReduceLogSumExp", reduce::reduce),
    ("ReduceMax", reduce::reduce),
    ("ReduceMean", reduce::reduce),
    ("ReduceMin", reduce::reduce),
    ("ReduceProd", reduce::reduce),
    ("ReduceSum", reduce::reduce),
    ("ReduceSumSquare", reduce::reduce),
    ("Relu", unary::relu),
    ("Reshape", identity::reshape),
    ("Round", unary::round),
    ("Scatter", scatter::elements),
    ("ScatterElements", scatter::elements),
    ("ScatterND", scatter::nd),
    ("Selu", unary::selu),
    ("Shape", constant::shape),
    ("Shrink", unary::shrink),
    ("Sigmoid", unary::sigmoid),
    ("Sign", unary::sign),
    ("Sin", unary::sin),
    ("Sinh", unary::sinh),
    ("Size", constant::size),
    ("Slice", slice::slice),
    ("Softmax", softmax::softmax),
    ("Softplus", unary::softplus),
    ("Softsign", unary::softsign),
    ("Split", slice::split),
    ("Sqrt", unary::sqrt),
    ("Squeeze", identity::squeeze),
    ("StringConcat", text::concat),
    ("StringNormalizer", text::normalizer),
    ("StringSplit", text::split),
    ("Sub", arithmetic::sub),
    ("Sum", arithmetic::sum),
    ("Swish", unary::swish),
    ("Tan", unary::tan),
    ("Tanh", unary::tanh),
    ("TfIdfVectorizer", ngrams::tf_idf),
    ("ThresholdedRelu", unary::thresholded_relu),
    ("Tile", arrange::tile),
    ("TopK", select::top_k),
    ("Transpose", arrange::transpose),
    ("Trilu", arrange::trilu),
    ("Unsqueeze", identity::unsqueeze),
    ("Where", compare::choose),
    ("Xor", compare::logical),
];
