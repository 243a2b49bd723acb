//! Makes two things of `proto/onnx.proto`: the message types, and the table of fields that the first pass
//! over a file goes by, so that both always know the same messages. Needs no `protoc`.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use prost_build::Config;
use protox::prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

/// Singular messages that would make their holder large even when they are absent.
const BOXED: [&str; 6] = [
    ".onnx.AttributeProto.t",
    ".onnx.AttributeProto.g",
    ".onnx.AttributeProto.tp",
    ".onnx.AttributeProto.sparse_tensor",
    ".onnx.SparseTensorProto.values",
    ".onnx.SparseTensorProto.indices",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto/onnx.proto");
    let files = protox::compile(["proto/onnx.proto"], ["proto"])?;
    let pool = DescriptorPool::from_file_descriptor_set(files.clone())?;
    let mut config = Config::new();
    config.bytes(["."]);
    for path in BOXED {
        config.boxed(path);
    }
    config.compile_fds(files)?;
    #[allow(clippy::disallowed_methods, reason = "a build script is told by the environment where to write")]
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("shapes.rs"), table(&pool)?)?;
    Ok(())
}

/// `SHAPES`: one entry per message, in the order of the pool; fields name other messages by position.
fn table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let messages: Vec<MessageDescriptor> = pool.all_messages().filter(|m| m.package_name() == "onnx").collect();
    let mut text = String::from("pub(crate) static SHAPES: &[Shape] = &[\n");
    for message in &messages {
        let path = rust_path(message);
        writeln!(text, "    Shape {{ name: \"{}\", bytes: size_of::<{path}>(), fields: &[", message.name())?;
        for field in message.fields() {
            let repeated = field.cardinality() == Cardinality::Repeated;
            let (number, content) = (field.number(), content(&field, &messages)?);
            writeln!(text, "        Field {{ number: {number}, repeated: {repeated}, content: {content} }},")?;
        }
        text.push_str("    ] },\n");
    }
    text.push_str("];\n");
    for (constant, name) in [("MODEL", "ModelProto"), ("TENSOR", "TensorProto")] {
        let root = messages.iter().position(|message| message.name() == name).ok_or(name)?;
        writeln!(text, "pub(crate) const {constant}: usize = {root};")?;
    }
    Ok(text)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "a type that the schema comes to use stops the build here")]
fn content(field: &FieldDescriptor, messages: &[MessageDescriptor]) -> Result<String, Box<dyn Error>> {
    Ok(match field.kind() {
        Kind::Int32 => "Content::Varint(4)".to_owned(),
        Kind::Int64 | Kind::Uint64 => "Content::Varint(8)".to_owned(),
        Kind::Float => "Content::Fixed32".to_owned(),
        Kind::Double => "Content::Fixed64".to_owned(),
        Kind::String => "Content::Text".to_owned(),
        Kind::Bytes => "Content::Blob".to_owned(),
        Kind::Message(inner) => {
            let at = messages.iter().position(|message| *message == inner).ok_or("a message of elsewhere")?;
            format!("Content::Message({at})")
        }
        other => return Err(format!("the table of fields does not know {other:?}").into()),
    })
}

/// Where prost puts the message: nested ones in a module that is called as their parent.
fn rust_path(message: &MessageDescriptor) -> String {
    let Some(parent) = message.parent_message() else { return message.name().to_owned() };
    let mut module = String::new();
    for (at, letter) in parent.name().char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            module.push('_');
        }
        module.push(letter.to_ascii_lowercase());
    }
    format!("{module}::{}", message.name())
}
