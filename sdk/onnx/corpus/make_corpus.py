"""Makes the hostile files of this folder and `expected.json`, the finding that each must give.

    python make_corpus.py            writes them
    python make_corpus.py --check    says which differ from what is committed, and fails if any does

Needs `onnx` (see models/requirements.txt). Deterministic. `src/tests/corpus.rs` scans each file in a folder
with w.bin (16 bytes), sub/w.bin, hard.bin (w.bin by another name), the links in.bin, out.bin and down, and
outside.bin in the folder above.
"""

import json
import pathlib
import sys

import numpy as np
from onnx import AttributeProto, FunctionProto, TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
F = TensorProto.FLOAT
I = TensorProto.INT64
CASES = {}


def case(name, severity, topic, says, model, raw=False):
    """One file; `severity` None: nothing worse than a note is found."""
    blob = model if raw else model.SerializeToString(deterministic=True)
    assert name not in CASES, name
    CASES[name] = (blob, {"file": f"{name}.onnx", "severity": severity, "topic": topic, "says": says})


def value(name, shape=("n",), kind=F):
    return helper.make_tensor_value_info(name, kind, list(shape))


def graph(nodes, inputs=("x",), outputs=("y",), initializers=(), sparse=(), name="g"):
    return helper.make_graph(nodes, name, [value(i) for i in inputs], [value(o) for o in outputs],
                             initializer=list(initializers), sparse_initializer=list(sparse))


def model(g, opsets=(("", 21),), functions=(), ir=10):
    imports = [helper.make_opsetid(*opset) for opset in opsets]
    m = helper.make_model(g, opset_imports=imports, functions=list(functions), ir_version=ir)
    m.producer_name = ""
    return m


def relu(**kwargs):
    return graph([helper.make_node("Relu", ["x"], ["y"])], **kwargs)


def external(name="w", dims=(4,), kind=F, **entries):
    t = TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, text in entries.items():
        t.external_data.add(key=key, value=str(text))
    return t


def sparse(values, indices, dims):
    s = helper.make_sparse_tensor(helper.make_tensor("w", F, [1], [1.0]), helper.make_tensor("i", I, [1], [0]), dims)
    s.values.CopyFrom(values)
    s.indices.CopyFrom(indices)
    return s


def ints(name, numbers):
    return helper.make_tensor(name, I, [len(numbers)], numbers)


def scalar(name, number, kind=I):
    return helper.make_tensor(name, kind, [], [number])


def branch(inner):
    return helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=relu(inputs=()))


def function(name, nodes, domain="own"):
    f = FunctionProto(name=name, domain=domain, input=["a"], output=["b"])
    f.node.extend(nodes)
    f.opset_import.extend([helper.make_opsetid("", 21), helper.make_opsetid(domain, 1)])
    return f


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


# --- bytes that lie --------------------------------------------------------------------------------

good = model(relu()).SerializeToString(deterministic=True)
case("good", None, None, "", good, raw=True)
case("empty", "refuse", "file", "without a graph", b"", raw=True)
case("cut_short", "refuse", "file", "cut short", good[:-3], raw=True)
case("length_beyond_the_end", "refuse", "file", "cut short", b"\x08\x0a\x3a\xff\xff\xff\xff\x0f", raw=True)
case("length_of_64_bits", "refuse", "file", "cut short", b"\x3a" + b"\xff" * 9 + b"\x01", raw=True)
case("varint_without_end", "refuse", "file", "cut short", b"\x08" + b"\xff" * 11, raw=True)
case("group", "refuse", "file", "no known wire type", b"\x08\x0a\x7b\x7c", raw=True)
case("wrong_wire_type", "refuse", "file", "another wire type", b"\x3d\0\0\0\0", raw=True)
case("two_graphs", "refuse", "file", "written twice", good + good, raw=True)
case("name_not_utf8", "refuse", "file", "UTF-8", field(7, field(2, b"\xff\xfe")), raw=True)
case("gzip", "refuse", "file", "cut short", b"\x1f\x8b\x08\x00" + b"\0" * 16, raw=True)
deep = b""
for _ in range(40):
    deep = field(1, field(5, field(6, deep)))
case("deep_subgraphs", "refuse", "limit", "graphs within graphs", field(7, deep), raw=True)
types = b""
for _ in range(60):
    types = field(4, field(1, types))
case("deep_types", "refuse", "limit", "messages within messages", field(7, field(11, field(2, types))), raw=True)
case("packed_zeros", None, None, "",
     model(graph([helper.make_node("Cast", ["x"], ["y"], to=1, unused=[0] * 4096)])))

# --- names and order ----------------------------------------------------------------------------------

neg = helper.make_node("Neg", ["x"], ["y"])
case("output_twice", "refuse", "graph", 'value "y" is defined twice', model(graph([neg, neg])))
case("initializer_twice", "refuse", "graph", 'value "w" is defined twice',
     model(relu(initializers=[scalar("w", 1), scalar("w", 2)])))
case("input_twice", "refuse", "graph", 'value "x" is defined twice', model(graph([neg], inputs=("x", "x"))))
case("value_from_nowhere", "refuse", "order", 'nothing makes the value "z"',
     model(graph([helper.make_node("Add", ["x", "z"], ["y"])])))
case("value_from_nowhere_within", "refuse", "order", 'nothing makes the value "z"',
     model(graph([branch(graph([helper.make_node("Neg", ["z"], ["y"])], inputs=()))])))
case("circle", "refuse", "order", "in a circle",
     model(graph([helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Neg", ["a"], ["b"]),
                  helper.make_node("Neg", ["b"], ["y"])])))
case("unsorted", "warn", "order", "stand before those that they use",
     model(graph([helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Neg", ["x"], ["a"])])))

# --- tensors and attributes -----------------------------------------------------------------------------

big = TensorProto(name="w", data_type=F, dims=[1 << 62, 1 << 62])
case("dims_overflow", "refuse", "graph", "more than any memory", model(relu(initializers=[big])))
case("dims_negative", "refuse", "graph", "a dimension is negative",
     model(relu(initializers=[TensorProto(name="w", data_type=F, dims=[-1], float_data=[1.0])])))
case("more_dims_than_data", "refuse", "graph", "more or less than its dimensions say",
     model(relu(initializers=[TensorProto(name="w", data_type=F, dims=[1 << 30], raw_data=b"1234")])))
case("data_in_two_places", "refuse", "graph", "in more than one place",
     model(relu(initializers=[TensorProto(name="w", data_type=F, dims=[1], raw_data=b"1234", float_data=[1.0])])))
case("tensor_of_no_type", "refuse", "unsupported", "no known type",
     model(relu(initializers=[TensorProto(name="w", data_type=77, dims=[1], raw_data=b"1")])))
smuggled = helper.make_node("LeakyRelu", ["x"], ["y"])
smuggled.attribute.append(AttributeProto(name="alpha", type=AttributeProto.FLOAT, f=0.5,
                                         t=external(location="../outside.bin")))
case("tensor_behind_a_float", "refuse", "graph", "more than one value", model(graph([smuggled])))

# --- external data --------------------------------------------------------------------------------------

for name, location, says in [
    ("climbs", "../outside.bin", "outside the model's folder"),
    ("climbs_within", "sub/../../outside.bin", "outside the model's folder"),
    ("absolute", "/etc/passwd", "outside the model's folder"),
    ("backslashes", "..\\outside.bin", "outside the model's folder"),
    ("drive", "C:\\w.bin", "outside the model's folder"),
    ("missing", "nothing.bin", "cannot be found"),
    ("memory_marker", "*/_ORT_MEM_ADDR_/*", "cannot be found"),
    ("link_within", "in.bin", "through a link"),
    ("link_out", "out.bin", "through a link"),
    ("link_on_the_way", "down/w.bin", "through a link"),
    ("folder", "sub", "are not a file"),
    ("device", "/dev/zero", "outside the model's folder"),
    ("no_location", "", "have no location"),
]:
    case(f"external_{name}", "refuse", "external", says, model(relu(initializers=[external(location=location)])))
case("external_good", None, None, "", model(relu(initializers=[external(location="sub/w.bin", offset=0, length=16)])))
case("external_hard_link", "warn", "external", "has other names too",
     model(relu(initializers=[external(location="hard.bin")])))
case("external_offset_beyond", "refuse", "external", "end beyond the file",
     model(relu(initializers=[external(location="sub/w.bin", offset=8)])))
case("external_offset_overflow", "refuse", "external", "end beyond the file",
     model(relu(initializers=[external(location="sub/w.bin", offset=2**64 - 1)])))
case("external_offset_negative", "refuse", "external", "a range that is no number",
     model(relu(initializers=[external(location="sub/w.bin", offset=-8)])))
case("external_length_lies", "refuse", "external", "not as long as the tensor",
     model(relu(initializers=[external(location="sub/w.bin", length=8)])))
case("external_larger_than_the_file", "refuse", "external", "end beyond the file",
     model(relu(initializers=[external(location="sub/w.bin", dims=(1 << 30,))])))
case("external_overlap", "warn", "external", "share parts",
     model(relu(initializers=[external("a", (2,), location="sub/w.bin"),
                              external("b", (2,), location="sub/w.bin", offset=4)])))
twice = external(location="sub/w.bin")
twice.external_data.add(key="location", value="../outside.bin")
case("external_two_locations", "refuse", "external", "their location twice", model(relu(initializers=[twice])))
out = external(location="../outside.bin")
index = ints("i", [0, 1, 2, 3])
case("external_in_sparse_values", "refuse", "external", "outside", model(relu(sparse=[sparse(out, index, [8])])))
case("external_in_sparse_indices", "refuse", "external", "outside",
     model(relu(sparse=[sparse(numpy_helper.from_array(np.zeros(4, "float32"), "w"),
                               external("i", (4,), I, location="../outside.bin"), [8])])))
case("external_in_constant", "refuse", "external", "outside",
     model(graph([helper.make_node("Constant", [], ["y"], value=out)])))
case("external_in_sparse_constant", "refuse", "external", "outside",
     model(graph([helper.make_node("Constant", [], ["y"], sparse_value=sparse(out, index, [8]))])))
case("external_in_branch", "refuse", "external", "outside",
     model(graph([branch(relu(inputs=(), initializers=[out]))])))
constant = helper.make_node("Constant", [], ["b"], value=out)
case("external_in_unused_function", "refuse", "external", "outside",
     model(relu(), opsets=(("", 21), ("own", 1)), functions=[function("f", [constant])]))
trained = model(relu())
trained.training_info.add().algorithm.CopyFrom(relu(initializers=[out]))
case("external_in_training", "refuse", "external", "outside", trained)

# --- sparse tensors ----------------------------------------------------------------------------------------

one = numpy_helper.from_array(np.ones(1, "float32"), "w")
case("sparse_index_outside", "refuse", "sparse", "lies outside of it",
     model(relu(sparse=[sparse(one, ints("i", [8]), [2, 4])])))
case("sparse_index_negative", "refuse", "sparse", "lies outside of it",
     model(relu(sparse=[sparse(one, ints("i", [-1]), [8])])))
case("sparse_row_outside", "refuse", "sparse", "lies outside of it",
     model(relu(sparse=[sparse(one, helper.make_tensor("i", I, [1, 2], [1, 4]), [2, 4])])))
case("sparse_bomb", "refuse", "sparse", "too large when it is written out",
     model(relu(sparse=[sparse(one, ints("i", [0]), [1 << 20, 1 << 20])])))
case("sparse_shapes_disagree", "refuse", "graph", "do not agree",
     model(relu(sparse=[sparse(one, ints("i", [0, 1]), [8])])))

# --- sizes and loops ------------------------------------------------------------------------------------------


def fixed(op, shape, **attributes):
    return model(graph([helper.make_node(op, ["s"], ["y"], **attributes)], initializers=[ints("s", shape)]))


case("bomb_constant_of_shape", "refuse", "size", "enormous size", fixed("ConstantOfShape", [1 << 20, 1 << 20]))
case("constant_of_shape_large", "warn", "size", "enormous size", fixed("ConstantOfShape", [1 << 28]))
case("constant_of_shape_small", None, None, "", fixed("ConstantOfShape", [4]))
case("bomb_expand", "refuse", "size", "enormous size",
     model(graph([helper.make_node("Expand", ["x", "s"], ["y"])], initializers=[ints("s", [1 << 40])])))
case("bomb_tile", "refuse", "size", "enormous size",
     model(graph([helper.make_node("Tile", ["x", "s"], ["y"])], initializers=[ints("s", [1 << 40])])))
case("bomb_range", "refuse", "size", "enormous size",
     model(graph([helper.make_node("Range", ["a", "b", "c"], ["y"])],
                 initializers=[scalar("a", 0), scalar("b", 1 << 50), scalar("c", 1)])))
case("bomb_range_tiny_step", "refuse", "size", "enormous size",
     model(graph([helper.make_node("Range", ["a", "b", "c"], ["y"])],
                 initializers=[scalar("a", 0.0, F), scalar("b", 1.0, F), scalar("c", 1e-30, F)])))
case("bomb_resize", "refuse", "size", "enormous size",
     model(graph([helper.make_node("Resize", ["x", "", "", "s"], ["y"])], initializers=[ints("s", [1 << 40])])))
case("bomb_pad", "refuse", "size", "enormous size",
     model(graph([helper.make_node("Pad", ["x", "s"], ["y"])], initializers=[ints("s", [1 << 40, 0])])))
case("bomb_random", "refuse", "size", "enormous size",
     model(graph([helper.make_node("RandomNormal", [], ["y"], shape=[1 << 40])])))
case("bomb_by_constant_node", "refuse", "size", "enormous size",
     model(graph([helper.make_node("Constant", [], ["s"], value_ints=[1 << 20, 1 << 20]),
                  helper.make_node("ConstantOfShape", ["s"], ["y"])])))
case("bomb_in_branch", "refuse", "size", "enormous size",
     model(graph([branch(graph([helper.make_node("ConstantOfShape", ["s"], ["y"])], inputs=()))],
                 initializers=[ints("s", [1 << 50])])))
huge = graph([neg])
huge.input[0].CopyFrom(value("x", [1 << 40]))
case("declared_enormous", "warn", "size", "declared with an enormous size", model(huge))


def loop(trips, inner=None):
    body = [helper.make_node("Identity", ["c"], ["d"])] + ([inner] if inner else [])
    body = helper.make_graph(body, "body", [value("i", (), I), value("c", (), TensorProto.BOOL)],
                             [value("d", (), TensorProto.BOOL)])
    return helper.make_node("Loop", [trips, ""], [], body=body)


def looping(node, *constants):
    return model(graph([node, neg], initializers=constants))


case("bomb_loop", "refuse", "loop", "enormous length", looping(loop("t"), scalar("t", 1 << 62)))
case("bomb_nested_loops", "refuse", "loop", "enormous length",
     looping(loop("t", loop("t", loop("t", loop("t")))), scalar("t", 1000)))
case("loop_long", "warn", "loop", "enormous length", looping(loop("t"), scalar("t", 50_000_000)))
case("loop_by_values", "note", "cost", "as the values of inputs say", looping(loop("x")))

# --- functions, domains, versions ---------------------------------------------------------------------------------


def call(name, source, target):
    return helper.make_node(name, [source], [target], domain="own")


own = (("", 21), ("own", 1))
top = graph([call("f0", "x", "y")])
case("function_calls_itself", "refuse", "function", "calls itself",
     model(top, own, [function("f0", [call("f0", "a", "b")])]))
case("functions_in_a_circle", "refuse", "function", "calls itself",
     model(top, own, [function("f0", [call("f1", "a", "b")]), function("f1", [call("f0", "a", "b")])]))
laughs = [function(f"f{n}", [call(f"f{n + 1}", "a", f"t{m}") for m in range(9)] + [call(f"f{n + 1}", "a", "b")])
          for n in range(9)]
laughs.append(function("f9", [helper.make_node("Neg", ["a"], ["b"])]))
case("functions_that_laugh", "refuse", "function", "when its functions are put in place", model(top, own, laughs))
chain = [function(f"f{n}", [call(f"f{n + 1}", "a", "b")]) for n in range(200)]
chain.append(function("f200", [helper.make_node("Neg", ["a"], ["b"])]))
case("functions_too_deep", "refuse", "function", "too deeply", model(top, own, chain))
case("function_twice", "refuse", "graph", "is defined twice", model(top, own, [laughs[-1], laughs[-1]]))
case("function_good", None, None, "", model(graph([call("f9", "x", "y")]), own, [laughs[-1]]))
case("domain_unknown", "warn", "domain", "known to nobody here", model(graph([call("f", "x", "y")]), own))
case("domain_microsoft", None, None, "",
     model(graph([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")]), (("", 21), ("com.microsoft", 1))))
case("domain_not_imported", "refuse", "version", "used and not imported", model(graph([call("f", "x", "y")])))
case("opset_zero", "refuse", "version", "no known version", model(relu(), (("", 0),)))
case("opset_of_the_future", "warn", "version", "no known version", model(relu(), (("", 999),)))
case("opset_old", "note", "version", "older than engines promise", model(relu(), (("", 6),)))
case("opset_twice", "refuse", "graph", "two versions", model(relu(), (("", 21), ("ai.onnx", 20))))
case("ir_version_none", "refuse", "version", "no known version", model(relu(), ir=0))
case("ir_version_of_the_future", "warn", "version", "no known version", model(relu(), ir=99))
training = model(relu())
training.training_info.add().algorithm.CopyFrom(relu())
case("training", "note", "training", "graphs for training", training)


def main():
    files = {f"{name}.onnx": blob for name, (blob, _) in CASES.items()}
    lines = ",\n".join("  " + json.dumps(expected) for _, expected in CASES.values())
    files["expected.json"] = f"[\n{lines}\n]\n".encode()
    stale = {path.name for path in HERE.glob("*.onnx")} - set(files)
    different = [n for n, blob in files.items() if not (HERE / n).exists() or (HERE / n).read_bytes() != blob]
    if "--check" in sys.argv:
        print("different:", sorted(stale | set(different)) or "none")
        sys.exit(bool(stale or different))
    for name in stale:
        (HERE / name).unlink()
    for name, blob in files.items():
        (HERE / name).write_bytes(blob)
    print(len(CASES), "files,", sum(map(len, files.values())), "bytes")


main()
