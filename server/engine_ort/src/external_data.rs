//! Where the weights of a model may lie: in its file, or in files of its own folder, reached without a link.
//!
//! Runs before ONNX Runtime sees the bytes. ONNX Runtime 1.31.1 refuses by itself what leaves the folder;
//! 1.24, which this engine also takes, does not look at sparse initializers and reads for them any path,
//! and any address of the process (its `*/_ORT_MEM_ADDR_/*` marker). All of them follow links inside the
//! folder, which the rest of Candor does not. So every location in the file is checked here, used or not.
//!
//! On the same way it sees whether values decide how long the graph works (loops, ranges), which no warm-up
//! can tell.
//!
//! Reads only as much protobuf as leads to tensors, bounded in depth, strict where readers could
//! differ; bytes that are no protobuf message are refused. Does not know what the tensors mean.

use std::{
    fs,
    path::{Component, Path},
};

use candor_domain::{Error, Result, names::quoted};

/// Nested messages that are followed: protobuf's own limit, which ONNX Runtime keeps too.
const DEPTH_MAX: usize = 100;

/// Messages of `onnx.proto` on the way to a tensor.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
    Entry,
}

impl Message {
    /// What the length-delimited `field` of this message holds, as far as it leads to external data.
    const fn inner(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Tensor, 13) => Some(Self::Entry),
            _ => None,
        }
    }
}

/// Refuses a model whose external data lie anywhere but in plain files of `folder`.
///
/// # Errors
/// `InvalidModel` that names the location, or says that the bytes are no ONNX file.
pub fn inspect(model: &[u8], folder: &Path) -> Result<Inspection> {
    let mut inspection = Inspection::default();
    walk(Message::Model, model, folder, 0, &mut inspection)?;
    Ok(inspection)
}

/// Operators whose work, or the size of whose output, is set by values and not by shapes.
const VALUE_DRIVEN: [&[u8]; 9] =
    [b"Loop", b"Scan", b"Range", b"Expand", b"Tile", b"ConstantOfShape", b"Resize", b"Upsample", b"Pad"];

/// What was seen on the way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    /// Whether the graph has an operator that works as long as the values of its inputs say.
    pub cost_depends_on_values: bool,
}

fn walk(message: Message, bytes: &[u8], folder: &Path, depth: usize, inspection: &mut Inspection) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Error::model("the model nests graphs too deeply").expected(format!("at most {DEPTH_MAX} levels")));
    }
    let (mut reader, mut key, mut values) = (Reader(bytes), None, Vec::new());
    while !reader.0.is_empty() {
        let Some((field, content)) = reader.field() else {
            return Err(Error::model("the file is not an ONNX model, or is cut short").hint(
                "the file begins with an ONNX ModelProto; other formats, compressed files and pointers to files \
                       elsewhere are not models",
            ));
        };
        let Some(content) = content else { continue };
        match (message, field) {
            (Message::Entry, 1) => key = Some(content),
            (Message::Entry, 2) => values.push(content),
            (Message::Node, 4) => inspection.cost_depends_on_values |= VALUE_DRIVEN.contains(&content),
            _ => {
                if let Some(inner) = message.inner(field) {
                    walk(inner, content, folder, depth + 1, inspection)?;
                }
            }
        }
    }
    // A key that is written twice counts as its last; every value counts.
    if key == Some(b"location".as_slice()) {
        return values.iter().try_for_each(|location| check_location(location, folder));
    }
    Ok(())
}

fn check_location(raw: &[u8], folder: &Path) -> Result<()> {
    let shown = quoted(&String::from_utf8_lossy(raw));
    let refuse = |why: &str| {
        Error::model(format!("the model's external data at {shown} {why}"))
            .expected("a file in the folder of the model, by its relative path, without links")
    };
    let location = std::str::from_utf8(raw).map_err(|_| refuse("have a path that is not UTF-8"))?;
    let mut path = folder.to_path_buf();
    for component in Path::new(location).components() {
        match component {
            Component::CurDir => continue,
            Component::Normal(name) => path.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(refuse("lie outside the model's folder"));
            }
        }
        let found = fs::symlink_metadata(&path).map_err(|error| refuse(&format!("cannot be found: {error}")))?;
        if found.is_symlink() {
            return Err(refuse("are reached through a link; links are not followed"));
        }
    }
    // Not a folder, a device, or a pipe on which a load would wait for ever.
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
        return Ok(());
    }
    Err(refuse("are not a file"))
}

/// What is left of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next field's number, and its content if it is length-delimited; `None` for what no protobuf
    /// writer writes today, such as groups, tags beyond 32 bits, or a length beyond the end.
    fn field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let tag = self.varint().filter(|tag| *tag <= u64::from(u32::MAX))?;
        let field = Some(tag >> 3).filter(|field| *field > 0)?;
        let content = match tag & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.take(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.take(length)?)
            }
            5 => self.take(4).map(|_| None)?,
            _ => return None,
        };
        Some((field, content))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(model: &[u8], folder: &Path) -> Result<()> {
        inspect(model, folder).map(|_| ())
    }

    #[test]
    fn loops_are_seen_at_any_depth() {
        let node = |operator: &[u8], rest: Vec<u8>| field(1, &[field(4, operator), rest].concat());
        let inside_if = |inner: Vec<u8>| node(b"If", field(5, &field(6, &inner)));
        let model = |graph: Vec<u8>| field(7, &graph);
        let seen = |model: &[u8]| inspect(model, Path::new(".")).unwrap().cost_depends_on_values;
        assert!(seen(&model(node(b"Loop", vec![]))));
        assert!(seen(&model(inside_if(node(b"Scan", vec![])))));
        assert!(!seen(&model(inside_if(node(b"Add", vec![])))));
    }

    /// A length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut length = content.len();
        let mut bytes = vec![];
        let mut tag = usize::from(number) << 3 | 2;
        for value in [&mut tag, &mut length] {
            while *value >= 0x80 {
                bytes.push((*value & 0x7F) as u8 | 0x80);
                *value >>= 7;
            }
            bytes.push(*value as u8);
        }
        [&bytes, content].concat()
    }

    fn nest(path: &[u8], innermost: Vec<u8>) -> Vec<u8> {
        path.iter().rev().fold(innermost, |inner, number| field(*number, &inner))
    }

    fn located(at: &[u8], location: &str) -> Vec<u8> {
        nest(at, [field(1, b"location"), field(2, location.as_bytes())].concat())
    }

    /// Field numbers from the model down to the entry, by every way that `onnx.proto` has.
    const WAYS: [&[u8]; 11] = [
        &[7, 5, 13],                 // graph, initializer
        &[7, 15, 1, 13],             // sparse initializer, values
        &[7, 15, 2, 13],             // … indices
        &[7, 1, 5, 5, 13],           // node, attribute, tensor
        &[7, 1, 5, 10, 13],          // … tensors
        &[7, 1, 5, 22, 1, 13],       // … sparse tensor
        &[7, 1, 5, 6, 5, 13],        // … graph, initializer
        &[7, 1, 5, 11, 1, 5, 5, 13], // … graphs, node, attribute
        &[25, 7, 5, 5, 13],          // function, node, attribute
        &[25, 11, 5, 13],            // function, attribute with default
        &[20, 2, 5, 13],             // training information, algorithm
    ];

    #[test]
    fn a_location_is_found_wherever_a_tensor_can_stand() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("w.bin"), b"1234").unwrap();
        for way in WAYS {
            assert_eq!(check(&located(way, "w.bin"), folder.path()), Ok(()), "{way:?}");
            let error = check(&located(way, "../w.bin"), folder.path()).unwrap_err().to_string();
            assert!(error.contains("\"../w.bin\" lie outside the model's folder"), "{way:?}: {error}");
        }
    }

    #[test]
    fn only_plain_files_of_the_folder_are_let_through() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("model");
        fs::create_dir_all(folder.join("sub")).unwrap();
        for file in ["outside.bin", "model/w.bin", "model/sub/w.bin"] {
            fs::write(base.path().join(file), b"1234").unwrap();
        }
        let verdict = |location: &str| check(&located(WAYS[0], location), &folder).map_err(|error| error.to_string());
        for good in ["w.bin", "sub/w.bin", "./w.bin", "sub//w.bin"] {
            assert_eq!(verdict(good), Ok(()), "{good}");
        }
        let absolute = folder.join("w.bin").display().to_string();
        for (bad, why) in [
            ("../outside.bin", "outside"),
            ("sub/../w.bin", "outside"),
            (&*absolute, "outside"),
            ("missing.bin", "cannot be found"),
            ("*/_ORT_MEM_ADDR_/*", "cannot be found"),
            ("w.bin/x", "cannot be found"),
            ("w\0.bin", "cannot be found"),
            ("sub", "are not a file"),
            ("", "are not a file"),
        ] {
            assert!(verdict(bad).as_ref().is_err_and(|error| error.contains(why)), "{bad}: {:?}", verdict(bad));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_wherever_they_lead() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("model");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("w.bin"), b"1234").unwrap();
        fs::write(base.path().join("outside.bin"), b"1234").unwrap();
        for (target, link) in [("w.bin", "in"), ("../outside.bin", "out"), (".", "here"), ("nowhere", "broken")] {
            std::os::unix::fs::symlink(target, folder.join(link)).unwrap();
        }
        for location in ["in", "out", "here/w.bin", "broken", "./in"] {
            let error = check(&located(WAYS[0], location), &folder).unwrap_err().to_string();
            assert!(error.contains("reached through a link"), "{location}: {error}");
        }
    }

    #[test]
    fn fields_that_are_written_twice_hide_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("w.bin"), b"1234").unwrap();
        let (location, good, bad) = (field(1, b"location"), field(2, b"w.bin"), field(2, b"../w.bin"));
        for entry in [
            [location.clone(), good.clone(), bad.clone()].concat(),
            [bad.clone(), good.clone(), location.clone()].concat(),
            [field(1, b"offset"), bad.clone(), location.clone()].concat(),
        ] {
            assert!(check(&nest(WAYS[0], entry), folder.path()).is_err());
        }
        let twice = [located(WAYS[0], "w.bin"), located(WAYS[0], "../w.bin")].concat();
        assert!(check(&twice, folder.path()).is_err());
        let other_key = nest(WAYS[0], [field(1, b"checksum"), bad].concat());
        assert_eq!(check(&other_key, folder.path()), Ok(()));
    }

    #[test]
    fn what_is_no_protobuf_and_what_nests_without_end_is_refused() {
        let here = Path::new(".");
        for bad in [&b"\x3a\x7f"[..], b"\x00", b"\x3b", b"\x80", b"\x80\x80\x80\x80\x80\x01\x00", &[0xFF; 20], b"hello"]
        {
            let error = check(bad, here).unwrap_err().to_string();
            assert!(error.starts_with("the file is not an ONNX model"), "{bad:?}: {error}");
        }
        let deep = |levels: usize| {
            let mut path = vec![7];
            (0..levels).for_each(|_| path.extend([1, 5, 6]));
            check(&nest(&path, vec![]), here)
        };
        assert_eq!(deep(33), Ok(()));
        assert!(deep(34).unwrap_err().to_string().starts_with("the model nests graphs too deeply"));
        assert!(deep(2_000).is_err());
    }
}
