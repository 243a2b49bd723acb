//! Tensors to numbers and back, players, links.

use candor_domain::{BytesArray, Datatype, Signature, TensorData};

use super::super::{
    additivity,
    layout::{Layout, Words},
    players::Players,
    target::{Target, Transform},
    *,
};
use super::fake::*;

/// Two inputs: one of two columns of whole numbers, one text; and an image.
fn mixed() -> (About, Vec<candor_domain::Tensor>) {
    let mut about = Linear::new().about;
    let inputs = vec![
        spec("n", Datatype::Int16, &[-1, 2]),
        spec("t", Datatype::Bytes, &[-1, 1]),
        spec("image", Datatype::Uint8, &[-1, 2, 2]),
    ];
    about.signature = Signature { inputs, outputs: about.signature.outputs };
    let feature = |name: &str, input: usize, place: Placed, datatype: Datatype| {
        let mut note = about.features[0].clone();
        (note.name, note.input, note.place, note.datatype) = (name.into(), input, place, datatype);
        note
    };
    let features = vec![
        feature("age", 0, Placed::Column(0), Datatype::Int16),
        feature("size", 0, Placed::Column(1), Datatype::Int16),
        feature("town", 1, Placed::Column(0), Datatype::Bytes),
        feature("photo", 2, Placed::Whole, Datatype::Uint8),
    ];
    about.features = features;
    let texts: BytesArray = ["Ulm", "Bonn"].iter().collect();
    let inputs = vec![
        tensor(&[2, 2], TensorData::Int16(vec![1, -2, 3, 4])),
        tensor(&[2, 1], TensorData::Bytes(texts)),
        tensor(&[2, 2, 2], TensorData::Uint8(vec![0, 1, 2, 3, 4, 5, 6, 255])),
    ];
    (about, inputs)
}

#[test]
fn numbers_texts_and_images_come_back_as_they_were() {
    let (about, inputs) = mixed();
    let layout = Layout::of(&about, &inputs, 100).unwrap();
    let mut words = Words::default();
    words.code(b"Bonn");
    let matrix = layout.encode(&inputs, &mut words).unwrap();
    assert_eq!((matrix.rows, matrix.columns), (2, 7));
    // The first word has the first code.
    assert_eq!(matrix.row(0), [1.0, -2.0, 1.0, 0.0, 1.0, 2.0, 3.0]);
    assert_eq!(matrix.row(1), [3.0, 4.0, 0.0, 4.0, 5.0, 6.0, 255.0]);
    assert_eq!(layout.textual(), [2]);
    assert_eq!(layout.decode(&matrix.data, 2, &words).unwrap(), inputs);
    // Beyond what a datatype holds is its end; what is no number or no word is refused.
    let row = |values: [f64; 7]| layout.decode(&values, 1, &words);
    let TensorData::Int16(ages) = row([1.6, 1e9, 0.0, 300.0, -5.0, 0.4, 0.0]).unwrap()[0].data().clone() else {
        panic!()
    };
    assert_eq!(ages, [2, i16::MAX]);
    assert!(row([f64::NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap_err().to_string().contains("cannot be missing"));
    assert!(row([0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0]).unwrap_err().to_string().contains("no text of this code"));
    assert!(row([0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0]).is_err());
    assert_eq!(Layout::of(&about, &inputs, 6).unwrap_err().code(), candor_domain::ErrorCode::TooLarge);
}

#[test]
fn an_image_is_one_player_among_others_and_each_pixel_one_where_it_is_alone() {
    let (mut about, inputs) = mixed();
    let layout = Layout::of(&about, &inputs, 100).unwrap();
    let players = Players::new(&about, &layout, &Groups::None).unwrap();
    assert_eq!(players.names, ["age", "size", "town", "photo"]);
    assert_eq!(players.of_column, [0, 1, 2, 3, 3, 3, 3]);
    assert!(players.is_grouped());
    about.features.drain(..3);
    about.features[0].input = 0;
    about.signature.inputs.drain(..2);
    let layout = Layout::of(&about, &inputs[2..], 100).unwrap();
    let players = Players::new(&about, &layout, &Groups::None).unwrap();
    assert_eq!(players.names, ["photo[0,0]", "photo[0,1]", "photo[1,0]", "photo[1,1]"]);
    assert!(!players.is_grouped());
}

fn target(elements: &[usize], all: usize) -> Target {
    let names = elements.iter().map(ToString::to_string).collect();
    Target { output: 0, elements: elements.to_vec(), names, all, space: Space::Margin, transform: Transform::Unknown }
}

#[test]
fn margins_of_a_graph_are_compared_with_what_is_served_through_its_own_link() {
    let agrees = |target: &Target, served: &[f64], margins: &[f64]| {
        additivity::compare(target, served, margins).iter().all(|one| one.agrees == Some(true))
    };
    // Two classes from one number.
    let p = 1.0 / (1.0 + (-2.0_f64).exp());
    assert!(agrees(&target(&[1], 2), &[1.0 - p, p], &[2.0]));
    assert!(!agrees(&target(&[1], 2), &[1.0 - p, p], &[2.1]));
    // Softmax of three.
    let margins = [1.0_f64, 2.0, 0.5];
    let sum: f64 = margins.iter().map(|margin| margin.exp()).sum();
    let served: Vec<f64> = margins.iter().map(|margin| margin.exp() / sum).collect();
    assert!(agrees(&target(&[0, 1, 2], 3), &served, &margins));
    assert!(!agrees(&target(&[0, 1, 2], 3), &served, &[1.0, 2.0, 0.6]));
    // One against the rest.
    let served: Vec<f64> = margins.iter().map(|margin| 1.0 / (1.0 + (-margin).exp())).collect();
    assert!(agrees(&target(&[0, 1, 2], 3), &served, &margins));
}
