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
//! | `linear` | LinearClassifier, LinearRegressor |
//! | [`trees`] | TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble |
//! | `svm`, `coupling` | SVMClassifier, SVMRegressor; probabilities of classes out of those of pairs |
//! | `zipmap` | ZipMap |
//! | `scores` | transforms of scores, choice and writing of labels; shared by classifiers and regressors |
//! | [`trees`] | TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble |
//! | `attributes`, `numbers`, `dense`, `table` | what they share: attributes, rows, sums, tables of keys |

mod attributes;
mod coupling;
mod dense;
mod features;
mod imputer;
mod linear;
mod mapping;
mod numbers;
mod one_hot;
mod scaling;
mod scores;
mod svm;
mod table;
mod trees;
mod zipmap;

use super::Builder;

/// Every operator by name.
pub(super) const TABLE: &[(&str, Builder)] = &[
    ("ArrayFeatureExtractor", features::array_feature_extractor),
    ("Binarizer", imputer::binarizer),
    ("CategoryMapper", mapping::category_mapper),
    ("FeatureVectorizer", features::feature_vectorizer),
    ("Imputer", imputer::imputer),
    ("LabelEncoder", mapping::label_encoder),
    ("LinearClassifier", linear::classifier),
    ("LinearRegressor", linear::regressor),
    ("Normalizer", scaling::normalizer),
    ("OneHotEncoder", one_hot::one_hot_encoder),
    ("SVMClassifier", svm::classifier),
    ("SVMRegressor", svm::regressor),
    ("Scaler", scaling::scaler),
    ("TreeEnsemble", trees::tree_ensemble),
    ("TreeEnsembleClassifier", trees::tree_ensemble),
    ("TreeEnsembleRegressor", trees::tree_ensemble),
    ("ZipMap", zipmap::zipmap),
];
