//! Small ONNX files whose weights lie in another file, written byte by byte.
//!
//! They cannot be fixtures: some of their paths are absolute and differ from machine to machine. Each
//! adds four weights to its input; where the tensor with the weights stands in the graph is a choice.

/// Where in a graph a tensor that points outside can stand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Among the graph's initializers.
    Initializer,
    /// In the attribute of a node.
    Attribute,
    /// Among the values of a sparse initializer (which then sets only the first two weights).
    Sparse,
    /// Within a function that the file defines and its graph calls.
    Function,
}

impl Place {
    pub(crate) const ALL: [Self; 4] = [Self::Initializer, Self::Attribute, Self::Sparse, Self::Function];
}

const FLOAT: u64 = 1;
const INT64: u64 = 7;
const ATTRIBUTE_IS_TENSOR: u64 = 4;
const LOCATION_IS_EXTERNAL: u64 = 1;
const IR_VERSION: u64 = 10;
const OPSET: u64 = 21;

/// A protobuf message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn number(self, field: u64, value: u64) -> Self {
        self.varint(field << 3).varint(value)
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut written = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        written.0.extend_from_slice(bytes);
        written
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, inner: Message) -> Self {
        self.bytes(field, &inner.0)
    }
}

fn entry(key: &str, value: &str) -> Message {
    Message::default().text(1, key).text(2, value)
}

/// A tensor of `elements` floats at `location`, from `offset` on.
fn outside(elements: u64, location: &str, offset: u64) -> Message {
    Message::default()
        .number(1, elements)
        .number(2, FLOAT)
        .text(8, "w")
        .message(13, entry("location", location))
        .message(13, entry("offset", &offset.to_string()))
        .message(13, entry("length", &(elements * 4).to_string()))
        .number(14, LOCATION_IS_EXTERNAL)
}

fn value_info(name: &str) -> Message {
    let dim = Message::default().number(1, 4);
    let tensor = Message::default().number(1, FLOAT).message(2, Message::default().message(1, dim));
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Message {
    let named = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
    named.text(2, output).text(4, operator)
}

fn constant(tensor: Message) -> Message {
    let attribute = Message::default().text(1, "value").number(20, ATTRIBUTE_IS_TENSOR).message(5, tensor);
    node("Constant", &[], "w").message(5, attribute)
}

fn opset(domain: &str, version: u64) -> Message {
    Message::default().text(1, domain).number(2, version)
}

/// A model `y = x + w` over four floats, where `w` lies at `location`, `offset` bytes from the start.
pub(crate) fn model(place: Place, location: &str, offset: u64) -> Vec<u8> {
    let add = || node("Add", &["x", "w"], "y");
    let graph = match place {
        Place::Initializer => Message::default().message(1, add()).message(5, outside(4, location, offset)),
        Place::Attribute => Message::default().message(1, constant(outside(4, location, offset))).message(1, add()),
        Place::Sparse => {
            let indices = Message::default().number(1, 2).number(2, INT64).number(7, 0).number(7, 1).text(8, "i");
            let sparse = Message::default().message(1, outside(2, location, offset)).message(2, indices).number(3, 4);
            Message::default().message(1, add()).message(15, sparse)
        }
        Place::Function => Message::default().message(1, node("AddWeights", &["x"], "y").text(7, "local")),
    };
    let graph = graph.text(2, "external").message(11, value_info("x")).message(12, value_info("y"));
    let model = Message::default().number(1, IR_VERSION).message(7, graph).message(8, opset("", OPSET));
    if !matches!(place, Place::Function) {
        return model.0;
    }
    let function = Message::default()
        .text(1, "AddWeights")
        .text(4, "x")
        .text(5, "y")
        .message(7, constant(outside(4, location, offset)))
        .message(7, add())
        .message(9, opset("", OPSET))
        .text(10, "local");
    model.message(8, opset("local", 1)).message(25, function).0
}
