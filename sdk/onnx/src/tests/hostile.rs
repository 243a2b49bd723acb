//! Bytes that lie: every one gives a typed error, at a cost that is known before anything is allocated.

use proptest::prelude::*;
use prost::Message as _;

use super::build::{field, graph, model, nest, node, read, with};
use crate::{
    error::ErrorKind,
    limits::Limits,
    model::Model,
    proto::{MODEL, ModelProto, NodeProto},
    survey::survey,
};

fn kind(bytes: &[u8]) -> ErrorKind {
    read(bytes).unwrap_err().kind()
}

#[test]
fn what_is_no_protobuf_is_refused() {
    for bad in [
        &b""[..],
        b"\x3a\x7f",
        b"\x00",
        b"\x3b",
        b"\x80",
        b"\x80\x80\x80\x80\x80\x01\x00",
        &[0xFF; 20],
        b"hello",
        b"version https://git-lfs",
        b"\x1f\x8b\x08",
        b"PK\x03\x04",
    ] {
        assert_eq!(kind(bad), ErrorKind::NotOnnx, "{bad:?}");
    }
    let error = read(b"\x08\x07\x3a\x7f").unwrap_err().to_string();
    assert!(error.starts_with("the file is not an ONNX model, or is cut short at byte 2 (ModelProto)"), "{error}");
}

#[test]
fn what_readers_could_read_differently_is_refused() {
    let twice = [model(graph(vec![])).encode_to_vec(), model(graph(vec![])).encode_to_vec()].concat();
    assert!(read(&twice).unwrap_err().to_string().contains("a single field that is written twice"));
    let location = [field(1, b"location"), field(2, b"good"), field(2, b"../bad")].concat();
    assert_eq!(kind(&nest(&[7, 5, 13], location)), ErrorKind::NotOnnx);
    // A graph where a number should be, a number where a name should be, fixed bytes where a varint should.
    for bad in [&b"\x0a\x01\x00"[..], b"\x10\x01", b"\x09\0\0\0\0\0\0\0\0"] {
        assert!(read(bad).unwrap_err().to_string().contains("of another wire type"), "{bad:?}");
    }
}

#[test]
fn depth_is_bounded_before_anything_follows_it() {
    let deep = |levels: usize| nest(&[&[7][..], &[1, 5, 6].repeat(levels)].concat(), vec![]);
    let limits = Limits::default();
    assert_eq!(survey(MODEL, &deep(15), &limits).unwrap().graph_depth, 16);
    for levels in [16, 40, 2_000, 20_000] {
        assert_eq!(survey(MODEL, &deep(levels), &limits).unwrap_err().kind(), ErrorKind::Limit, "{levels}");
    }
    // Types within types are messages too: sequences of sequences.
    let sequences = nest(&[&[7, 11, 2][..], &[4, 1].repeat(60)].concat(), vec![]);
    assert!(read(&sequences).unwrap_err().to_string().contains("too many messages within messages"));
}

#[test]
fn counts_are_bounded() {
    let limits = Limits {
        nodes: 10,
        tensors: 10,
        attributes: 10,
        strings: 60,
        elements: 10,
        text_bytes: 10,
        functions: 10,
        ..Limits::default()
    };
    let refusal = |bytes: &[u8]| survey(MODEL, bytes, &limits).unwrap_err();
    for (path, what) in [
        (&[7_u32, 1][..], "nodes"),
        (&[7, 5], "tensors"),
        (&[25], "functions"),
        (&[7, 1, 5], "attributes"),
        (&[7, 15, 1], "tensors"),
        (&[20, 2, 1], "nodes"),
    ] {
        let (last, outer) = path.split_last().unwrap();
        let many = |count: usize| nest(outer, field(*last, b"").repeat(count));
        let repeats = |count| {
            if *last == 1 && outer == [7, 15] { nest(&[7], nest(&[15, 1], vec![]).repeat(count)) } else { many(count) }
        };
        let error = refusal(&repeats(11)).to_string();
        assert!(
            error.contains(&format!("too many {what}: expected at most 10, got 11")) || error.contains("elements"),
            "{error}"
        );
    }
    assert!(refusal(&field(2, &[b'a'; 11])).to_string().contains("bytes of one text"));
    let ints = |packed: &[u8]| nest(&[7, 1, 5], field(8, packed));
    assert!(survey(MODEL, &ints(&[0; 10]), &limits).is_ok());
    assert!(refusal(&ints(&[0; 11])).to_string().contains("elements of one list"));
    assert_eq!(
        survey(MODEL, &[0; 11], &Limits { file_bytes: 10, ..Limits::default() }).unwrap_err().kind(),
        ErrorKind::Limit
    );
}

#[test]
fn a_million_empty_messages_are_refused_before_they_are_made() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    for path in [&[7_u32, 1][..], &[7, 5], &[7, 11], &[7, 1, 5], &[8], &[14], &[25], &[7, 5, 13]] {
        let (last, outer) = path.split_last().unwrap();
        let bomb = nest(outer, field(*last, b"").repeat(1 << 20));
        assert_eq!(Model::from_slice(&bomb, &limits).unwrap_err().kind(), ErrorKind::Limit, "{path:?}");
    }
}

#[test]
fn memory_is_at_most_a_multiple_of_the_file() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    // Packed zeros: one byte in the file, eight in memory, sixteen while the list grows.
    let ints = with(node("Op", &["x"], &["y"]), "a", 7, |attribute| attribute.ints = vec![0; 1 << 20]);
    let file = model(graph(vec![ints])).encode_to_vec();
    let census = survey(MODEL, &file, &limits).unwrap();
    assert!(census.memory_bytes <= 16 * census.file_bytes, "{census:?}");
    let nodes = model(graph(vec![NodeProto::default(); 10_000])).encode_to_vec();
    let error = Model::from_slice(&nodes, &limits).unwrap_err().to_string();
    assert!(error.starts_with("the file would grow out of proportion"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_give_a_model_or_a_typed_error(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(&bytes);
    }

    #[test]
    fn what_the_first_pass_takes_prost_takes_or_refuses_for_its_text(
        picks in proptest::collection::vec((0_u32..30, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..8)), 0..12),
    ) {
        let bytes: Vec<u8> = picks.iter().fold(Vec::new(), |inner, (number, more, content)| {
            let wrapped = field(number + 1, &inner);
            if more % 2 == 0 { [wrapped, field(number + 1, content)].concat() } else { wrapped }
        });
        if survey(MODEL, &bytes, &Limits::default()).is_ok() && let Err(error) = ModelProto::decode(&*bytes) {
            let why = error.to_string();
            prop_assert!(why.contains("UTF-8") || why.contains("varint"), "{why}");
        }
    }
}
