//! Operators of `ai.onnx.ml`, by the specification (docs/Operators-ml.md of the ONNX project). Where it is
//! silent, and where ONNX Runtime does otherwise, they do as ONNX Runtime does, and say so.
//!
//! | module | operators |
//! |---|---|
//! | `scaling` | Scaler, Normalizer |
//! | `imputer` | Imputer, Binarizer |
//! | `mapping` | LabelEncoder, CategoryMapper |
//! | `one_hot` | OneHotEncoder |
//! | `features` | FeatureVectorizer, ArrayFeatureExtractor |
//! | `scores` | transforms of scores, choice and writing of labels; shared by classifiers and regressors |
//! | `attributes`, `numbers`, `table` | what they share: attributes, number types and rows, tables of keys |

mod attributes;
mod features;
mod imputer;
mod mapping;
mod numbers;
mod one_hot;
mod scaling;
#[allow(dead_code, reason = "the operators that use it follow")]
mod scores;
mod table;

use super::Builder;

/// Every operator by name.
pub(super) const TABLE: &[(&str, Builder)] = &[
    ("ArrayFeatureExtractor", features::array_feature_extractor),
    ("Binarizer", imputer::binarizer),
    ("CategoryMapper", mapping::category_mapper),
    ("FeatureVectorizer", features::feature_vectorizer),
    ("Imputer", imputer::imputer),
    ("LabelEncoder", mapping::label_encoder),
    ("Normalizer", scaling::normalizer),
    ("OneHotEncoder", one_hot::one_hot_encoder),
    ("Scaler", scaling::scaler),
];
