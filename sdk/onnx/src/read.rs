//! From decoded messages to the model: everything a reader relies on is checked here, once.
//!
//! Attributes hold what their type says and nothing beside, tensors as many elements as their dimensions
//! say, names are unique. Nothing recurses deeper than the first pass allowed.

use std::collections::BTreeMap;

use prost::bytes::Bytes;

use crate::{
    error::{Error, ErrorKind, Result, quoted},
    external::External,
    graph::{Attribute, Graph, Node},
    limits::Census,
    model::{Function, Model, Opsets},
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
        TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto::dimension,
        type_proto::Value as Type,
    },
    tensor::{Data, SparseTensor, Tensor},
    types::{DataType, Dim, ValueInfo, ValueType},
};

pub(crate) fn model(proto: ModelProto, census: Census) -> Result<Model> {
    let Some(graph_proto) = proto.graph else {
        return Err(Error::new(ErrorKind::NotOnnx, "the file is not an ONNX model").got("a model without a graph"));
    };
    let opsets = opsets(proto.opset_import)?;
    let functions = proto.functions.into_iter().map(function).collect::<Result<Vec<_>>>()?;
    let training = proto.training_info.into_iter().flat_map(|info| [info.initialization, info.algorithm]);
    let training = training.flatten().map(|proto| graph(proto, &opsets).map_err(|error| error.at("training")));
    let metadata = proto.metadata_props.into_iter();
    Ok(Model {
        ir_version: proto.ir_version.unwrap_or_default(),
        producer_name: proto.producer_name.unwrap_or_default(),
        producer_version: proto.producer_version.unwrap_or_default(),
        domain: proto.domain.unwrap_or_default(),
        model_version: proto.model_version.unwrap_or_default(),
        doc: proto.doc_string.unwrap_or_default(),
        metadata: metadata.map(|entry| (entry.key.unwrap_or_default(), entry.value.unwrap_or_default())).collect(),
        graph: graph(graph_proto, &opsets)?,
        functions: sorted(functions)?,
        training: training.collect::<Result<_>>()?,
        opsets,
        census,
    })
}

/// ONNX's own domain has two spellings.
fn domain(raw: Option<String>) -> String {
    raw.filter(|domain| domain != "ai.onnx").unwrap_or_default()
}

fn opsets(imports: Vec<OperatorSetIdProto>) -> Result<Opsets> {
    let mut opsets = Opsets::new();
    for import in imports {
        let (domain, version) = (domain(import.domain), import.version.unwrap_or_default());
        if opsets.get(&domain).is_some_and(|other| *other != version) {
            let what = format!("two versions of the operators of domain {} are imported", quoted(&domain));
            return Err(Error::invalid(what).at("opset_import"));
        }
        opsets.insert(domain, version);
    }
    Ok(opsets)
}

fn function(proto: FunctionProto) -> Result<Function> {
    let name = proto.name.unwrap_or_default();
    let place = format!("function {}", quoted(&name));
    let opsets = opsets(proto.opset_import).map_err(|error| error.at(&place))?;
    let value = |name: String| ValueInfo { name, value: ValueType::Unknown };
    let body = Graph {
        name: name.clone(),
        doc: proto.doc_string.unwrap_or_default(),
        inputs: proto.input.into_iter().map(value).collect(),
        outputs: proto.output.into_iter().map(value).collect(),
        nodes: nodes(proto.node, &opsets).map_err(|error| error.at(&place))?,
        ..Graph::default()
    };
    Ok(Function {
        body: body.indexed().map_err(|error| error.at(&place))?,
        defaults: attributes(proto.attribute_proto, &opsets).map_err(|error| error.at(&place))?,
        domain: domain(proto.domain),
        overload: proto.overload.unwrap_or_default(),
        attributes: proto.attribute,
        opsets,
        name,
    })
}

fn sorted(mut functions: Vec<Function>) -> Result<Vec<Function>> {
    functions.sort_by(|one, other| one.key().cmp(&other.key()));
    match functions.windows(2).find(|pair| matches!(pair, [one, other] if one.key() == other.key())) {
        Some([twice, _]) => Err(Error::invalid(format!("the function {} is defined twice", quoted(&twice.name)))),
        _ => Ok(functions),
    }
}

fn graph(proto: GraphProto, opsets: &Opsets) -> Result<Graph> {
    let name = proto.name.unwrap_or_default();
    let place = format!("graph {}", quoted(&name));
    let within = || -> Result<Graph> {
        let graph = Graph {
            name,
            doc: proto.doc_string.unwrap_or_default(),
            inputs: infos(proto.input)?,
            outputs: infos(proto.output)?,
            value_infos: infos(proto.value_info)?,
            initializers: proto.initializer.into_iter().map(tensor).collect::<Result<_>>()?,
            sparse_initializers: proto.sparse_initializer.into_iter().map(sparse).collect::<Result<_>>()?,
            nodes: nodes(proto.node, opsets)?,
            ..Graph::default()
        };
        graph.indexed()
    };
    within().map_err(|error| error.at(place))
}

fn nodes(protos: Vec<NodeProto>, opsets: &Opsets) -> Result<Vec<Node>> {
    let node = |(at, proto): (usize, NodeProto)| -> Result<Node> {
        let domain = domain(proto.domain);
        let mut node = Node {
            name: proto.name.unwrap_or_default(),
            op_type: proto.op_type.unwrap_or_default(),
            overload: proto.overload.unwrap_or_default(),
            opset: opsets.get(&domain).copied(),
            inputs: proto.input,
            outputs: proto.output,
            domain,
            ..Node::default()
        };
        if node.op_type.is_empty() {
            return Err(Error::invalid("a node names no operator").at(node.place(at)));
        }
        node.attributes = attributes(proto.attribute, opsets).map_err(|error| error.at(node.place(at)))?;
        Ok(node)
    };
    protos.into_iter().enumerate().map(node).collect()
}

fn attributes(protos: Vec<AttributeProto>, opsets: &Opsets) -> Result<BTreeMap<String, Attribute>> {
    let mut attributes = BTreeMap::new();
    for mut proto in protos {
        let name = proto.name.take().unwrap_or_default();
        let place = format!("attribute {}", quoted(&name));
        let read = attribute(proto, opsets).map_err(|error| error.at(&place))?;
        if name.is_empty() || attributes.insert(name, read).is_some() {
            return Err(Error::invalid("an attribute has no name, or that of another").at(place));
        }
    }
    Ok(attributes)
}

/// Reads what the type says; what stands beside it would be seen by one reader and not by another.
fn attribute(proto: AttributeProto, opsets: &Opsets) -> Result<Attribute> {
    let mut found: Vec<(i32, Result<Attribute>)> = Vec::new();
    let mut add = |kind: i32, value: Option<Result<Attribute>>| found.extend(value.map(|value| (kind, value)));
    add(1, proto.f.map(|held| Ok(Attribute::Float(held))));
    add(2, proto.i.map(|held| Ok(Attribute::Int(held))));
    add(3, proto.s.map(|held| Ok(Attribute::String(held))));
    add(4, proto.t.map(|held| Ok(Attribute::Tensor(Box::new(tensor(*held)?)))));
    add(5, proto.g.map(|held| Ok(Attribute::Graph(Box::new(graph(*held, opsets)?)))));
    add(6, some(proto.floats).map(|held| Ok(Attribute::Floats(held))));
    add(7, some(proto.ints).map(|held| Ok(Attribute::Ints(held))));
    add(8, some(proto.strings).map(|held| Ok(Attribute::Strings(held))));
    add(9, some(proto.tensors).map(|held| each(held, tensor).map(Attribute::Tensors)));
    add(10, some(proto.graphs).map(|held| each(held, |held| graph(held, opsets)).map(Attribute::Graphs)));
    add(11, proto.sparse_tensor.map(|held| Ok(Attribute::SparseTensor(Box::new(sparse(*held)?)))));
    add(12, some(proto.sparse_tensors).map(|held| each(held, sparse).map(Attribute::SparseTensors)));
    add(13, proto.tp.map(|held| Ok(Attribute::Type(Box::new(value_type(*held)?)))));
    add(14, some(proto.type_protos).map(|held| each(held, value_type).map(Attribute::Types)));
    add(
        proto.r#type.unwrap_or_default(),
        proto.ref_attr_name.filter(|name| !name.is_empty()).map(|name| Ok(Attribute::Reference(name))),
    );
    let only = found.pop();
    if !found.is_empty() {
        return Err(Error::invalid("the attribute holds more than one value"));
    }
    match (proto.r#type.unwrap_or_default(), only) {
        // The first format of all had no type.
        (kind, Some((of, value))) if kind == of || kind == 0 => value,
        (6, None) => Ok(Attribute::Floats(Vec::new())),
        (7, None) => Ok(Attribute::Ints(Vec::new())),
        (8, None) => Ok(Attribute::Strings(Vec::new())),
        (9, None) => Ok(Attribute::Tensors(Vec::new())),
        (10, None) => Ok(Attribute::Graphs(Vec::new())),
        (12, None) => Ok(Attribute::SparseTensors(Vec::new())),
        (14, None) => Ok(Attribute::Types(Vec::new())),
        // Zero is what a writer leaves out.
        (1, None) => Ok(Attribute::Float(0.0)),
        (2, None) => Ok(Attribute::Int(0)),
        (3, None) => Ok(Attribute::String(Bytes::new())),
        (kind, Some((of, _))) => Err(Error::invalid("the attribute's value is not of its type")
            .expected(format!("type {kind}"))
            .got(format!("type {of}"))),
        (kind, None) => Err(Error::invalid("the attribute has no value").expected(format!("type {kind}"))),
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn each<From, To>(list: Vec<From>, read: impl FnMut(From) -> Result<To>) -> Result<Vec<To>> {
    list.into_iter().map(read).collect()
}

fn dims(raw: &[i64]) -> Result<Vec<u64>> {
    let shown = || format!("{:?}", raw.get(..8).unwrap_or(raw));
    let dims: Option<Vec<u64>> = raw.iter().map(|dim| u64::try_from(*dim).ok()).collect();
    let dims = dims.ok_or_else(|| Error::invalid("a dimension is negative").got(shown()))?;
    // Zeros hide overflow from a plain product, and from no reader that multiplies in another order.
    let product = dims.iter().filter(|dim| **dim > 0).try_fold(1_u64, |product, dim| product.checked_mul(*dim));
    if product.is_none_or(|product| product > u64::MAX / 16) {
        return Err(Error::invalid("the dimensions multiply to more than any memory").got(shown()));
    }
    Ok(dims)
}

pub(crate) fn tensor(proto: TensorProto) -> Result<Tensor> {
    let name = proto.name.clone().unwrap_or_default();
    let place = if name.is_empty() { "a tensor".to_owned() } else { format!("tensor {}", quoted(&name)) };
    let read = || -> Result<Tensor> {
        let number = proto.data_type.unwrap_or_default();
        let data_type = DataType::from_number(number).filter(|known| *known != DataType::Undefined);
        let data_type = data_type.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "the tensor is of no known type").got(format!("type {number}"))
        })?;
        if proto.segment.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "the tensor is a segment of another"));
        }
        let dims = dims(&proto.dims)?;
        let data = data(proto, data_type, dims.iter().product())?;
        Ok(Tensor { name, data_type, dims, data })
    };
    read().map_err(|error| error.at(place))
}

/// The tensor's data, from the one place where they are, and as many as there should be.
fn data(proto: TensorProto, data_type: DataType, elements: u64) -> Result<Data> {
    let is_external = match proto.data_location.unwrap_or_default() {
        0 => false,
        1 => true,
        other => return Err(Error::invalid("the data are at no known kind of location").got(format!("{other}"))),
    };
    let external = some(proto.external_data);
    if !is_external && external.is_some() {
        return Err(Error::invalid("the tensor names external data, and says that it has none"));
    }
    let lists = [
        proto.raw_data.filter(|raw| !raw.is_empty()).map(Data::Raw),
        some(proto.float_data).map(Data::Floats),
        some(proto.double_data).map(Data::Doubles),
        some(proto.int32_data).map(Data::Int32s),
        some(proto.int64_data).map(Data::Int64s),
        some(proto.uint64_data).map(Data::Uint64s),
        some(proto.string_data).map(Data::Strings),
    ];
    let mut lists = lists.into_iter().flatten();
    let (first, second) = (lists.next(), lists.next());
    if second.is_some() || (is_external && first.is_some()) {
        return Err(Error::invalid("the tensor holds its data in more than one place"));
    }
    if is_external {
        if data_type == DataType::String {
            return Err(Error::invalid("strings cannot be external data"));
        }
        return self::external(external.unwrap_or_default()).map(Data::External);
    }
    let empty = || if data_type == DataType::String { Data::Strings(Vec::new()) } else { Data::Raw(Bytes::new()) };
    let data = first.unwrap_or_else(empty);
    let (expected, got) = sizes(&data, data_type, elements)?;
    if expected == Some(got) {
        return Ok(data);
    }
    let expected = expected.map_or_else(|| "fewer elements".to_owned(), |count| count.to_string());
    Err(Error::invalid("the tensor holds more or less than its dimensions say")
        .expected(format!("{expected} for {elements} elements of {data_type}"))
        .got(got.to_string()))
}

/// How long the list (or the raw data, in bytes) should be, and is.
fn sizes(data: &Data, data_type: DataType, elements: u64) -> Result<(Option<u64>, u64)> {
    use DataType as T;
    let bits = data_type.bits();
    let misplaced = || Error::invalid("the tensor's data stand in a field of another type").got(data_type.to_string());
    // Complex numbers stand as two of their parts; small ones share a number of 8 bits.
    let (fits, expected, got) = match data {
        Data::Raw(raw) => {
            let bytes = bits.and_then(|bits| elements.checked_mul(bits)).map(|bits| bits.div_ceil(8));
            (bits.is_some(), bytes, raw.len())
        }
        Data::Floats(list) => {
            let parts = if data_type == T::Complex64 { 2 } else { 1 };
            (matches!(data_type, T::Float | T::Complex64), elements.checked_mul(parts), list.len())
        }
        Data::Doubles(list) => {
            let parts = if data_type == T::Complex128 { 2 } else { 1 };
            (matches!(data_type, T::Double | T::Complex128), elements.checked_mul(parts), list.len())
        }
        Data::Int32s(list) => {
            let wide = matches!(data_type, T::Float | T::Uint32);
            let fits = bits.is_some_and(|bits| bits <= 32) && !wide;
            let shared = bits.filter(|bits| *bits < 8);
            let count = shared.map_or(Some(elements), |bits| Some(elements.checked_mul(bits)?.div_ceil(8)));
            (fits, count, list.len())
        }
        Data::Int64s(list) => (data_type == T::Int64, Some(elements), list.len()),
        Data::Uint64s(list) => (matches!(data_type, T::Uint64 | T::Uint32), Some(elements), list.len()),
        Data::Strings(list) => (data_type == T::String, Some(elements), list.len()),
        Data::External(_) => (true, None, 0),
    };
    if fits { Ok((expected, got as u64)) } else { Err(misplaced()) }
}

fn external(entries: Vec<crate::proto::StringStringEntryProto>) -> Result<External> {
    let mut external = External::default();
    let (mut seen, mut fault) = (Vec::new(), None);
    for entry in entries {
        let (key, value) = (entry.key.unwrap_or_default(), entry.value.unwrap_or_default());
        let mut number =
            || value.parse::<u64>().inspect_err(|_| fault = Some(format!("{key} {}", quoted(&value)))).ok();
        match &*key {
            "location" => external.location.clone_from(&value),
            "offset" => external.offset = number().unwrap_or_default(),
            "length" => external.length = number(),
            "checksum" => external.checksum = Some(value.clone()),
            _ => continue,
        }
        if seen.contains(&key) {
            return Err(Error::new(ErrorKind::External, format!("external data name their {key} twice")));
        }
        seen.push(key);
    }
    if let Some(got) = fault {
        return Err(Error::new(ErrorKind::External, "external data have a range that is no number").got(got));
    }
    if external.location.is_empty() {
        return Err(Error::new(ErrorKind::External, "external data have no location"));
    }
    Ok(external)
}

fn sparse(proto: SparseTensorProto) -> Result<SparseTensor> {
    let missing = || Error::invalid("a sparse tensor lacks its values or its indices");
    let values = tensor(*proto.values.ok_or_else(missing)?)?;
    let indices = tensor(*proto.indices.ok_or_else(missing)?)?;
    let dims = dims(&proto.dims).map_err(|error| error.at(values.place()))?;
    let count = values.elements();
    let (is_flat, is_tall) = (indices.dims == [count], indices.dims == [count, dims.len() as u64]);
    if indices.data_type != DataType::Int64 || values.dims.len() != 1 || !(is_flat || is_tall) {
        return Err(Error::invalid("a sparse tensor's values and indices do not agree").at(values.place()));
    }
    Ok(SparseTensor { values, indices, dims })
}

fn infos(protos: Vec<ValueInfoProto>) -> Result<Vec<ValueInfo>> {
    let info = |proto: ValueInfoProto| -> Result<ValueInfo> {
        let name = proto.name.unwrap_or_default();
        let value = proto.r#type.map(value_type).transpose();
        let value = value.map_err(|error| error.at(format_args!("value {}", quoted(&name))))?.unwrap_or_default();
        Ok(ValueInfo { name, value })
    };
    protos.into_iter().map(info).collect()
}

fn value_type(proto: TypeProto) -> Result<ValueType> {
    let inner = |proto: Option<Box<TypeProto>>| proto.map_or(Ok(ValueType::Unknown), |inner| value_type(*inner));
    Ok(match proto.value {
        None => ValueType::Unknown,
        Some(Type::TensorType(tensor)) => {
            ValueType::Tensor { element: element(tensor.elem_type)?, shape: tensor.shape.map(shape) }
        }
        Some(Type::SparseTensorType(tensor)) => {
            ValueType::SparseTensor { element: element(tensor.elem_type)?, shape: tensor.shape.map(shape) }
        }
        Some(Type::SequenceType(sequence)) => ValueType::Sequence(Box::new(inner(sequence.elem_type)?)),
        Some(Type::OptionalType(optional)) => ValueType::Optional(Box::new(inner(optional.elem_type)?)),
        Some(Type::MapType(map)) => {
            ValueType::Map { key: element(map.key_type)?, value: Box::new(inner(map.value_type)?) }
        }
        Some(Type::OpaqueType(opaque)) => {
            ValueType::Opaque { domain: opaque.domain.unwrap_or_default(), name: opaque.name.unwrap_or_default() }
        }
    })
}

fn element(number: Option<i32>) -> Result<DataType> {
    let number = number.unwrap_or_default();
    DataType::from_number(number).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the value is of no known element type").got(format!("type {number}"))
    })
}

fn shape(proto: TensorShapeProto) -> Vec<Dim> {
    let dim = |value| match value {
        Some(dimension::Value::DimValue(size)) => u64::try_from(size).map_or(Dim::Unknown, Dim::Fixed),
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Dim::Symbol(name),
        Some(dimension::Value::DimParam(_)) | None => Dim::Unknown,
    };
    proto.dim.into_iter().map(|proto| dim(proto.value)).collect()
}
