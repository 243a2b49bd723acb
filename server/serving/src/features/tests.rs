//! Feature sets from signatures and manifests, tables from cells, roles of outputs.

use candor_domain::{Tensor, TensorData};

use super::*;
use crate::repository::Role;

fn spec(name: &str, datatype: Datatype, dims: &[i64]) -> TensorSpec {
    let dim = |&size: &i64| if size < 0 { Dim::Any(None) } else { Dim::Fixed(size) };
    TensorSpec { name: name.into(), datatype, dims: Some(dims.iter().map(dim).collect()) }
}

fn signature(inputs: Vec<TensorSpec>) -> Signature {
    Signature { inputs, outputs: vec![] }
}

fn set(inputs: Vec<TensorSpec>, manifest: &str) -> Result<FeatureSet> {
    FeatureSet::new(&signature(inputs), &Manifest::parse(manifest).unwrap())
}

fn names(set: &FeatureSet) -> Vec<&str> {
    set.all().iter().map(|feature| &*feature.name).collect()
}

const FLOWER: &str = r#"
[[inputs]]
name = "x"
features = [{ name = "length", min = 0.0, max = 10.0 }, { name = "width", default = 2, impute = 3.5 }]
"#;

fn flower() -> FeatureSet {
    set(vec![spec("x", Datatype::Fp32, &[-1, 2])], FLOWER).unwrap()
}

fn place(spot: Spot<'_>) -> String {
    format!("{:?} {:?}", spot.row, spot.feature)
}

/// Reads rows of cells by name.
fn read(set: &FeatureSet, rows: &[&[(&str, Cell<'_>)]]) -> Result<(Vec<Tensor>, Gaps)> {
    let mut table = Table::new(set, 1000, &place);
    let mut fill = || -> Result<(), Stop> {
        for (at, row) in rows.iter().enumerate() {
            table.open_row()?;
            for (name, cell) in *row {
                if let Some(feature) = table.find(name)? {
                    table.put(at, feature, cell)?;
                }
            }
            table.close_row()?;
        }
        Ok(())
    };
    let _ = fill();
    table.finish()
}

#[test]
fn columns_are_called_as_declared_or_after_their_input_or_f0_and_on() {
    assert_eq!(names(&flower()), ["length", "width"]);
    let fallback = |inputs: &[(&str, &[i64])]| {
        let inputs = inputs.iter().map(|(name, dims)| spec(name, Datatype::Fp32, dims)).collect();
        let set = set(inputs, "").unwrap();
        (names(&set).join(" "), set.rows())
    };
    assert_eq!(fallback(&[("x", &[-1, 3])]), ("f0 f1 f2".into(), RowCount::Free));
    assert_eq!(fallback(&[("x", &[1, 3])]), ("f0 f1 f2".into(), RowCount::Exactly(1)));
    assert_eq!(fallback(&[("age", &[-1, 1]), ("name", &[-1])]), ("age name".into(), RowCount::Free));
    assert_eq!(fallback(&[("a", &[-1, 2]), ("b", &[-1, 1])]), ("a_f0 a_f1 b".into(), RowCount::Free));
    assert_eq!(fallback(&[("image", &[-1, 1, 8, 8])]), ("image".into(), RowCount::Free));
    assert_eq!(fallback(&[("wide", &[-1, 150_528])]), ("wide".into(), RowCount::Free));
    assert_eq!(fallback(&[("tokens", &[-1, -1])]), ("tokens".into(), RowCount::Free));
    assert_eq!(fallback(&[("turns", &[])]), ("turns".into(), RowCount::Single));
    assert_eq!(fallback(&[("a", &[-1, 2]), ("b", &[3])]), ("a b_f0 b_f1 b_f2".into(), RowCount::Single));
}

#[test]
fn what_a_manifest_cannot_declare_is_refused_at_load() {
    let refusal = |datatype, dims: &[i64], features: &str| {
        let manifest = format!("[[inputs]]\nname = \"x\"\nfeatures = [{features}]");
        set(vec![spec("x", datatype, dims)], &manifest).unwrap_err().to_string()
    };
    for (datatype, dims, features, words) in [
        (Datatype::Fp32, &[-1, 2][..], "{ name = \"a\" }, { name = \"a\" }", "two features are called 'a'"),
        (Datatype::Fp32, &[-1, 1], "{ name = \"a\", min = 2.0, max = 1.0 }", "a range that nothing is in"),
        (Datatype::Fp32, &[-1, 1], "{ name = \"a\", categories = [\"b\"] }", "the graph takes no text"),
        (Datatype::Bytes, &[-1, 1], "{ name = \"a\", max = 1.0 }", "the graph takes no number"),
        (Datatype::Int8, &[-1, 1], "{ name = \"a\", default = 200 }", "an impossible default"),
        (Datatype::Int8, &[-1, 1], "{ name = \"a\", impute = nan }", "an impossible impute"),
        (Datatype::Fp32, &[-1, 1], "{ name = \"a\", default = nan }", "an impossible default"),
        (Datatype::Fp32, &[-1, 1], "{ name = \"a\", max = 1.0, default = 2.0 }", "an impossible default"),
        (Datatype::Fp32, &[-1, 1], "{ name = \"\" }", "no usable name"),
        (Datatype::Fp32, &[-1, 2, 2], "{ name = \"a\" }, { name = \"b\" }", "a row of this input is not a list"),
    ] {
        let refusal = refusal(datatype, dims, features);
        assert!(refusal.contains(words), "{features}: {refusal}");
    }
}

#[test]
fn rows_of_cells_become_tensors_in_any_order_of_names() {
    let rows: &[&[(&str, Cell<'_>)]] = &[
        &[("length", Cell::Float(1.5)), ("width", Cell::Unsigned(2))],
        &[("width", Cell::Signed(-4)), ("length", Cell::Unsigned(3))],
    ];
    let (tensors, filled) = read(&flower(), rows).unwrap();
    assert_eq!(tensors[0].shape().dims(), [2, 2]);
    assert_eq!(tensors[0].data(), &TensorData::Fp32(vec![1.5, 2.0, 3.0, -4.0]));
    assert_eq!(filled.count, 0);
}

#[test]
fn gaps_are_filled_only_as_declared_and_told() {
    let rows: &[&[(&str, Cell<'_>)]] =
        &[&[("length", Cell::Float(1.0))], &[("width", Cell::Null), ("length", Cell::Float(1.0))]];
    let (tensors, filled) = read(&flower(), rows).unwrap();
    assert_eq!(tensors[0].data(), &TensorData::Fp32(vec![1.0, 2.0, 1.0, 3.5]));
    assert_eq!(filled.first, [Filled { row: 0, feature: 1 }, Filled { row: 1, feature: 1 }]);
    let row: &[(&str, Cell<'_>)] = &[("length", Cell::Float(1.0))];
    let (_, many) = read(&flower(), &vec![row; 500]).unwrap();
    assert_eq!((many.first.len(), many.count), (500, 500));
    let null = read(&flower(), &[&[("length", Cell::Null)]]).unwrap_err().to_string();
    assert!(null.contains("feature 'length' has no value") && null.contains("`impute`"), "{null}");
    let nan = read(&flower(), &[&[("length", Cell::Float(f64::NAN))]]).unwrap_err().to_string();
    assert!(nan.contains("feature 'length' is not a number"), "{nan}");
    let missing = read(&flower(), &[&[("width", Cell::Float(1.0))]]).unwrap_err().to_string();
    assert!(missing.contains("feature 'length' is missing; expected a number from 0 to 10"), "{missing}");
}

#[test]
fn nan_reaches_a_model_that_declares_it() {
    let manifest = "[[inputs]]\nname = \"x\"\nfeatures = [{ name = \"a\", impute = nan }]";
    let set = set(vec![spec("x", Datatype::Fp64, &[-1, 1])], manifest).unwrap();
    let (tensors, filled) = read(&set, &[&[("a", Cell::Null)]]).unwrap();
    assert!(matches!(tensors[0].data(), TensorData::Fp64(values) if values[0].is_nan()));
    assert_eq!(filled.count, 1);
}

#[test]
fn all_problems_are_told_up_to_a_limit() {
    let wrong: &[(&str, Cell<'_>)] =
        &[("lenght", Cell::Float(1.0)), ("length", Cell::Float(11.0)), ("length", Cell::Float(1.0))];
    let error = read(&flower(), &[wrong]).unwrap_err();
    let all: Vec<String> = [&error].into_iter().chain(error.others()).map(ToString::to_string).collect();
    assert!(all[0].contains("no feature \"lenght\"") && all[0].contains("did you mean 'length'?"), "{all:?}");
    assert!(all[1].contains("out of the declared range") && all[1].contains("got 11"), "{all:?}");
    assert!(all[2].contains("stands there twice"), "{all:?}");
    assert_eq!(all.len(), 3);
    // What is wrong in every row is told once.
    let many = vec![wrong; 100];
    let error = read(&flower(), &many).unwrap_err();
    assert_eq!(error.others().len(), 2);
    assert!(error.to_string().contains("no feature \"lenght\", and in 99 more places; expected"), "{error}");
    let strangers: Vec<String> = (0..100).map(|n| format!("stranger{n}")).collect();
    let strange: Vec<(&str, Cell<'_>)> = strangers.iter().map(|name| (name.as_str(), Cell::Null)).collect();
    assert_eq!(read(&flower(), &[&strange]).unwrap_err().others().len(), 15);
}

#[test]
fn a_table_ends_at_the_limit_of_elements() {
    let row: &[(&str, Cell<'_>)] = &[("length", Cell::Float(1.0))];
    let error = read(&flower(), &vec![row; 501]).unwrap_err().to_string();
    assert!(error.contains("at most 1000 elements") && error.contains("limits.tensor_elements_max"), "{error}");
    assert!(read(&flower(), &vec![row; 500]).is_ok());
    let several = (0..10).map(|n| spec(&format!("x{n}"), Datatype::Fp32, &[-1, 1])).collect();
    let set = set(several, "").unwrap();
    let mut table = Table::new(&set, 1000, &place);
    assert!(table.grow(100).is_ok());
    assert!(table.grow(101).is_err(), "all inputs count together");
}

#[test]
fn a_model_of_fixed_size_takes_exactly_its_rows() {
    let set = set(vec![spec("x", Datatype::Int64, &[2, 1])], "").unwrap();
    let row: &[(&str, Cell<'_>)] = &[("x", Cell::Unsigned(1))];
    assert_eq!(read(&set, &[row, row]).unwrap().0[0].shape().dims(), [2, 1]);
    let error = read(&set, &[row]).unwrap_err().to_string();
    assert!(error.contains("too few rows; expected 2 rows, no more and no fewer"), "{error}");
    let error = read(&set, &[row, row, row]).unwrap_err().to_string();
    assert!(error.contains("more rows than this model takes at once; expected 2 rows"), "{error}");
    let none = read(&flower(), &[]).unwrap_err().to_string();
    assert!(none.contains("there are no rows"), "{none}");
}

#[test]
fn categories_are_checked_with_a_guess_at_what_was_meant() {
    let manifest = "[[inputs]]\nname = \"x\"\nfeatures = [{ name = \"colour\", categories = [\"red\", \"green\"] }]";
    let set = set(vec![spec("x", Datatype::Bytes, &[-1, 1])], manifest).unwrap();
    let (tensors, _) = read(&set, &[&[("colour", Cell::Text("green"))]]).unwrap();
    assert!(matches!(tensors[0].data(), TensorData::Bytes(texts) if texts.get(0) == Some(b"green")));
    let error = read(&set, &[&[("colour", Cell::Text("gren"))]]).unwrap_err().to_string();
    assert!(error.contains("one of \"red\", \"green\"") && error.contains("did you mean \"green\"?"), "{error}");
}

#[test]
fn outputs_have_the_roles_that_exporters_mean() {
    let roles = |manifest: &str, outputs: Vec<TensorSpec>| {
        let signature = Signature { inputs: vec![], outputs };
        let answers = Answers::new(&signature, &Manifest::parse(manifest).unwrap(), RowCount::Free).unwrap();
        answers.outputs().iter().map(|output| output.role).collect::<Vec<_>>()
    };
    let sklearn =
        || vec![spec("output_label", Datatype::Int64, &[-1]), spec("output_probability", Datatype::Fp32, &[-1, 3])];
    assert_eq!(roles("", sklearn()), [Role::Label, Role::Probabilities]);
    assert_eq!(roles("", vec![spec("variable", Datatype::Fp32, &[-1, 1])]), [Role::Value]);
    let logits = "[[outputs]]\nname = \"logits\"\nlabels = [\"a\", \"b\"]";
    assert_eq!(roles(logits, vec![spec("logits", Datatype::Fp32, &[-1, 2])]), [Role::Scores]);
    let said = "[[outputs]]\nname = \"y\"\nrole = \"probabilities\"";
    assert_eq!(roles(said, vec![spec("y", Datatype::Fp32, &[-1, 2])]), [Role::Probabilities]);
    // Nothing is guessed to have a role twice.
    let two = vec![spec("a_prob", Datatype::Fp32, &[-1, 2]), spec("b_prob", Datatype::Fp32, &[-1, 2])];
    assert_eq!(roles("", two), [Role::Probabilities, Role::Other]);
}

#[test]
fn roles_and_labels_that_the_graph_contradicts_are_refused_at_load() {
    let refusal = |manifest: &str| {
        let outputs = vec![spec("label", Datatype::Int64, &[-1]), spec("p", Datatype::Fp32, &[-1, 3])];
        let signature = Signature { inputs: vec![], outputs };
        Answers::new(&signature, &Manifest::parse(manifest).unwrap(), RowCount::Free).unwrap_err().to_string()
    };
    let output = |name: &str, more: &str| format!("[[outputs]]\nname = \"{name}\"\n{more}\n");
    let impossible = refusal(&output("label", "role = \"probabilities\""));
    assert!(impossible.contains("cannot have the role \"probabilities\"; expected a list of numbers"), "{impossible}");
    let twice = output("label", "role = \"label\"") + &output("p", "role = \"label\"");
    assert!(refusal(&twice).contains("cannot have the role \"label\""));
    let few = output("label", "labels = [\"a\", \"b\"]") + &output("p", "role = \"probabilities\"");
    assert!(refusal(&few).contains("not as many as the classes of 'p'; expected 3, got 2"), "{}", refusal(&few));
}

#[test]
fn outputs_fall_apart_only_where_the_graph_counts_rows() {
    let of = |inputs: Vec<TensorSpec>, output: &[i64], tensor: &[i64], rows: usize| {
        let signature = Signature { inputs, outputs: vec![spec("y", Datatype::Fp32, output)] };
        let count = row_count(&signature);
        let answers = Answers::new(&signature, &Manifest::default(), count).unwrap();
        let shape = candor_domain::Shape::new(tensor).unwrap();
        let tensor = Tensor::new(shape, TensorData::zeros(Datatype::Fp32, shape.elements())).unwrap();
        let notes = &answers.outputs()[0];
        (notes.role, answers.per_row(notes, &tensor, rows).map(|answer| answer.each))
    };
    let free = || vec![spec("x", Datatype::Fp32, &[-1, 2])];
    assert_eq!(of(free(), &[-1, 4], &[3, 4], 3), (Role::Other, Some(4)));
    // As many as there are rows, by coincidence.
    assert_eq!(of(free(), &[3], &[3], 3), (Role::Other, None));
    let single = || vec![spec("x", Datatype::Fp32, &[-1, 2]), spec("t", Datatype::Fp32, &[])];
    assert_eq!(of(single(), &[-1, 1], &[3, 1], 1), (Role::Other, Some(3)));
    assert_eq!(of(single(), &[1, 1], &[1, 1], 1), (Role::Value, Some(1)));
    assert_eq!(of(single(), &[], &[], 1), (Role::Value, Some(1)));
    let fixed = || vec![spec("x", Datatype::Fp32, &[2, 2])];
    assert_eq!(of(fixed(), &[2], &[2], 2), (Role::Value, Some(1)));
    assert_eq!(of(fixed(), &[4], &[4], 2), (Role::Other, None));
}

#[test]
fn a_class_is_called_by_its_text_its_label_or_its_number() {
    let labels = vec!["zero".to_owned(), "one".to_owned()];
    let numbers = TensorData::Int64(vec![1, 7, -1]);
    assert_eq!(label_at(&numbers, 0, &labels).as_deref(), Some("one"));
    assert_eq!(label_at(&numbers, 1, &labels).as_deref(), Some("7"));
    assert_eq!(label_at(&numbers, 2, &labels).as_deref(), Some("-1"));
    assert_eq!(label_at(&numbers, 3, &labels), None);
    let texts = TensorData::Bytes([&b"cat"[..]].into_iter().collect());
    assert_eq!(label_at(&texts, 0, &labels).as_deref(), Some("cat"));
}
