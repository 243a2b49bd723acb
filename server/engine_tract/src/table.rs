//! The operators that tract answers as ONNX Runtime does, as far as some twenty thousand graphs of one
//! operator have shown, with the attributes and types for which they did. What is not here is refused.

/// Types that the first input of an operator may have. 16-bit floats are only moved and cast: tract adds
/// them up in 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Types {
    /// All that tract has.
    Any,
    /// Integers and floats of 32 and 64 bits.
    Numbers,
    /// Integers.
    Integers,
    /// Floats of 32 and 64 bits.
    Floats,
    /// Floats of 32 bits.
    Single,
    /// Truth values.
    Bool,
}

/// One operator.
pub(crate) struct Row {
    /// Its name, in the domain of ONNX itself.
    pub(crate) name: &'static str,
    /// Types of its first input.
    pub(crate) types: Types,
    /// Its attributes, apart by spaces; `operators` has a word on the values of some.
    pub(crate) attributes: &'static str,
}

const fn row(name: &'static str, types: Types, attributes: &'static str) -> Row {
    Row { name, types, attributes }
}

const RECURRENT: &str = "activations direction hidden_size layout linear_before_reset";
const REDUCE: &str = "axes keepdims noop_with_empty_axes";

/// The row of an operator.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    let at = ROWS.binary_search_by(|row| row.name.cmp(name)).ok()?;
    ROWS.get(at)
}

/// By name.
const ROWS: &[Row] = {
    use Types::{Any, Bool, Floats, Integers, Numbers, Single};
    &[
        row("Abs", Numbers, ""),
        row("Acos", Single, ""),
        row("Acosh", Single, ""),
        row("Add", Numbers, ""),
        row("And", Bool, ""),
        row("ArgMax", Numbers, "axis keepdims select_last_index"),
        row("ArgMin", Numbers, "axis keepdims select_last_index"),
        row("Asin", Single, ""),
        row("Asinh", Single, ""),
        row("Atan", Single, ""),
        row("Atanh", Single, ""),
        row("AveragePool", Single, "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"),
        row("BatchNormalization", Single, "epsilon momentum training_mode"),
        row("BitwiseAnd", Integers, ""),
        row("BitwiseNot", Integers, ""),
        row("BitwiseOr", Integers, ""),
        row("BitwiseXor", Integers, ""),
        row("Cast", Any, "to"),
        row("CastLike", Any, ""),
        row("Ceil", Floats, ""),
        row("Celu", Single, ""),
        row("Clip", Numbers, ""),
        row("Concat", Any, "axis"),
        row("Constant", Any, "value value_float value_floats value_int value_ints value_string value_strings"),
        row("ConstantOfShape", Any, "value"),
        row("Conv", Single, "auto_pad dilations group kernel_shape pads strides"),
        row("ConvTranspose", Single, "auto_pad dilations group kernel_shape output_padding pads strides"),
        row("Cos", Floats, ""),
        row("Cosh", Single, ""),
        row("CumSum", Numbers, "exclusive reverse"),
        row("DepthToSpace", Any, "blocksize mode"),
        row("DequantizeLinear", Integers, "axis"),
        row("Div", Numbers, ""),
        row("Dropout", Floats, "ratio seed"),
        row("DynamicQuantizeLinear", Single, ""),
        row("Einsum", Single, "equation"),
        row("Elu", Floats, "alpha"),
        row("Equal", Any, ""),
        row("Erf", Single, ""),
        row("Exp", Floats, ""),
        row("Expand", Any, ""),
        row("EyeLike", Numbers, "dtype k"),
        row("Flatten", Any, "axis"),
        row("Floor", Floats, ""),
        row("GRU", Single, RECURRENT),
        row("Gather", Any, "axis"),
        row("GatherElements", Any, "axis"),
        row("GatherND", Any, "batch_dims"),
        row("Gelu", Single, "approximate"),
        row("Gemm", Floats, "alpha beta transA transB"),
        row("GlobalAveragePool", Single, ""),
        row("GlobalMaxPool", Single, ""),
        row("Greater", Numbers, ""),
        row("GreaterOrEqual", Numbers, ""),
        row("GridSample", Single, "align_corners mode padding_mode"),
        row("GroupNormalization", Single, "epsilon num_groups stash_type"),
        row("HardSigmoid", Floats, "alpha beta"),
        row("HardSwish", Single, ""),
        row("Hardmax", Single, "axis"),
        row("Identity", Any, ""),
        row("InstanceNormalization", Single, "epsilon"),
        row("IsInf", Single, "detect_negative detect_positive"),
        row("IsNaN", Single, ""),
        row("LRN", Single, "alpha beta bias size"),
        row("LSTM", Single, RECURRENT),
        row("LayerNormalization", Single, "axis epsilon stash_type"),
        row("LeakyRelu", Single, "alpha"),
        row("Less", Numbers, ""),
        row("LessOrEqual", Numbers, ""),
        row("Log", Floats, ""),
        row("LpNormalization", Single, "axis p"),
        row("MatMul", Floats, ""),
        row("MatMulInteger", Integers, ""),
        row("Max", Numbers, ""),
        row("MaxPool", Numbers, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"),
        row("Mean", Single, ""),
        row("MeanVarianceNormalization", Single, "axes"),
        row("Min", Numbers, ""),
        row("Mish", Floats, ""),
        row("Mul", Numbers, ""),
        row("Neg", Numbers, ""),
        row("NonMaxSuppression", Single, "center_point_box"),
        row("NonZero", Numbers, ""),
        row("Not", Bool, ""),
        row("OneHot", Numbers, "axis"),
        row("Or", Bool, ""),
        row("PRelu", Floats, ""),
        row("Pad", Numbers, "mode"),
        row("Pow", Floats, ""),
        row("QuantizeLinear", Single, "axis"),
        row("RMSNormalization", Single, "axis epsilon stash_type"),
        row("RNN", Single, RECURRENT),
        row("Range", Numbers, ""),
        row("Reciprocal", Floats, ""),
        row("ReduceL1", Floats, REDUCE),
        row("ReduceL2", Floats, REDUCE),
        row("ReduceLogSum", Floats, REDUCE),
        row("ReduceMax", Numbers, REDUCE),
        row("ReduceMean", Floats, REDUCE),
        row("ReduceMin", Numbers, REDUCE),
        row("ReduceProd", Floats, REDUCE),
        row("ReduceSum", Numbers, REDUCE),
        row("ReduceSumSquare", Floats, REDUCE),
        row("Relu", Numbers, ""),
        row("Reshape", Any, "allowzero"),
        row(
            "Resize",
            Single,
            "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value \
             keep_aspect_ratio_policy mode nearest_mode",
        ),
        row("RotaryEmbedding", Single, "interleaved num_heads rotary_embedding_dim"),
        row("Round", Single, ""),
        row("ScatterElements", Numbers, "axis reduction"),
        row("ScatterND", Numbers, "reduction"),
        row("Selu", Floats, "alpha gamma"),
        row("Shape", Any, "end start"),
        row("Shrink", Single, "bias lambd"),
        row("Sigmoid", Single, ""),
        row("Sign", Numbers, ""),
        row("Sin", Floats, ""),
        row("Sinh", Single, ""),
        row("Size", Any, ""),
        row("Slice", Any, "axes ends starts"),
        row("Softmax", Floats, "axis"),
        row("Softsign", Floats, ""),
        row("SpaceToDepth", Any, "blocksize"),
        row("Split", Any, "axis num_outputs split"),
        row("Sqrt", Floats, ""),
        row("Squeeze", Any, "axes"),
        row("Sub", Numbers, ""),
        row("Sum", Floats, ""),
        row("Swish", Single, ""),
        row("Tan", Single, ""),
        row("Tanh", Floats, ""),
        row("ThresholdedRelu", Floats, "alpha"),
        row("Tile", Numbers, ""),
        row("TopK", Numbers, "axis largest sorted"),
        row("Transpose", Any, "perm"),
        row("Trilu", Numbers, "upper"),
        row("Unsqueeze", Any, "axes"),
        row("Where", Bool, ""),
        row("Xor", Bool, ""),
    ]
};

/// Operators in which tract loses a not-a-number: they choose by comparing, or clamp first.
pub(crate) const DROP_NAN: &[&str] = &[
    "ArgMax",
    "ArgMin",
    "Clip",
    "GRU",
    "GlobalMaxPool",
    "HardSigmoid",
    "LSTM",
    "Max",
    "MaxPool",
    "Min",
    "QuantizeLinear",
    "RNN",
    "ReduceMax",
    "ReduceMin",
    "Relu",
    "ScatterElements",
    "ScatterND",
    "Sigmoid",
    "Swish",
    "Tanh",
    "TopK",
];

/// Operators that may leave out an input and have another behind it.
pub(crate) const HAS_GAPS: &[&str] = &["Clip", "GRU", "LSTM", "Pad", "RNN", "Resize", "Slice"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_so_that_they_are_found() {
        assert!(ROWS.is_sorted_by(|one, other| one.name < other.name));
        for name in DROP_NAN.iter().chain(HAS_GAPS) {
            assert!(find(name).is_some(), "{name} has no row");
        }
        assert!(find("LogSoftmax").is_none());
    }
}
