"""Make the large models that `cargo xtask bench` measures with, and golden pairs for them.

    python make_models.py WHEEL FOLDER

Too large to be committed: `cargo xtask bench` makes them below target/, once. What comes out is a model repository:

    minilm   the sentence encoder all-MiniLM-L6-v2: 6 layers, 384 wide, 12 heads, 128 tokens; its weights come
             from WHEEL, its graph is written here
    cnn      SqueezeNet 1.0 over 1×3×224×224, with weights drawn from a seed: what a run costs does not depend
             on them. None is so small that arithmetic on it would be slow

The encoder is checked against a forward pass in numpy, which shares no code with the graph, and against sense:
sentences of one meaning must be nearer to each other than to others. The files are the same bytes on each run.
"""

import io
import json
import re
import sys
import zipfile
from math import erf
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SEED = 0
OPSET = 18
TOKENS = 128
WIDTH, LAYERS, HEADS = 384, 6, 12
SENTENCES = [
    "The cat sleeps on the warm stones in front of the house.",
    "A kitten is taking a nap on sunny rocks outside.",
    "The central bank raised interest rates by half a percent.",
]
LONG = (
    "A model server loads trained models from a folder and answers requests for predictions. It reads numbers from a "
    "request, runs the model on them and writes the answer. While one version of a model serves, another may be loaded "
    "beside it, and when the new one is ready, requests go to it at once. A request that was begun on the old version "
    "ends there. Several requests that wait at the same time may be put together into one batch, because a large "
    "matrix is multiplied in less time than several small ones. How long a request may wait for others is a question "
    "of how busy the server is, and how much time the caller has. Whoever measures such a server should send requests "
    "at a fixed rate, and count the time from the moment at which each was due."
)


class Graph:
    """Nodes and weights in the order in which they are added."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, inputs, **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def model(self, name, inputs, output):
        last, (declared, datatype, dims) = self.nodes[-1], output
        last.output[0] = declared
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(*each) for each in inputs],
            [helper.make_tensor_value_info(declared, datatype, dims)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def cnn():
    """SqueezeNet 1.0 (Iandola et al., arXiv 1602.07360)."""
    graph, draw = Graph(), np.random.default_rng(SEED)

    def conv(x, ins, outs, size, stride=1, pad=0, relu=True):
        at = len(graph.nodes)
        # He's initialisation: numbers neither grow nor die on their way through the layers.
        w = draw.normal(0, (2 / (ins * size * size)) ** 0.5, (outs, ins, size, size)).astype(np.float32)
        w[np.abs(w) < 1e-6] = 1e-6
        names = [graph.weight(f"w{at}", w), graph.weight(f"b{at}", np.full(outs, 0.01, np.float32))]
        x = graph.node("Conv", [x, *names], kernel_shape=[size, size], strides=[stride] * 2, pads=[pad] * 4)
        return graph.node("Relu", [x]) if relu else x

    def fire(x, ins, squeeze, expand):
        x = conv(x, ins, squeeze, 1)
        parts = [conv(x, squeeze, expand, 1), conv(x, squeeze, expand, 3, pad=1)]
        return graph.node("Concat", parts, axis=1)

    def pool(x):
        return graph.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    x = pool(conv("image", 3, 96, 7, stride=2))
    x = pool(fire(fire(fire(x, 96, 16, 64), 128, 16, 64), 128, 32, 128))
    x = fire(fire(x, 256, 32, 128), 256, 48, 192)
    x = fire(pool(fire(fire(x, 384, 48, 192), 384, 64, 256)), 512, 64, 256)
    x = graph.node("GlobalAveragePool", [conv(x, 512, 1000, 1)])
    x = graph.node("Flatten", [x], axis=1)
    graph.node("Softmax", [x], axis=1)
    model = graph.model(
        "squeezenet",
        [("image", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        ("probabilities", TensorProto.FLOAT, ["batch", 1000]),
    )
    # As a normalised photograph has them: five decimals, some 1.3 MB of JSON.
    image = np.round(draw.normal(0, 1, (1, 3, 224, 224)), 5).astype(np.float32)
    return model, [("noise", {"image": image})]


def minilm(wheel):
    w, vocabulary = weights_of(wheel)
    graph = Graph()
    scalar = lambda name, value: graph.weight(name, np.array(value, np.float32))
    one, half, root2 = scalar("one", 1), scalar("half", 0.5), scalar("root2", 2**0.5)
    far, scale = scalar("far", -10000), scalar("scale", (WIDTH // HEADS) ** -0.5)
    split = graph.weight("split", np.array([0, TOKENS, HEADS, WIDTH // HEADS], np.int64))
    merge = graph.weight("merge", np.array([0, TOKENS, WIDTH], np.int64))

    def linear(x, name):
        matrix = graph.weight(f"{name}.weight", w[f"{name}.weight"].T)
        return graph.node("Add", [graph.node("MatMul", [x, matrix]), graph.weight(f"{name}.bias", w[f"{name}.bias"])])

    def norm(x, name):
        names = [graph.weight(f"{name}.{part}", w[f"{name}.{part}"]) for part in ("weight", "bias")]
        return graph.node("LayerNormalization", [x, *names], axis=-1, epsilon=1e-12)

    def heads(x, perm):
        return graph.node("Transpose", [graph.node("Reshape", [x, split])], perm=perm)

    def looked_up(name, ids):
        table = graph.weight(name, w[f"embeddings.{name}.weight"])
        return graph.node("Gather", [table, ids])

    x = graph.node("Add", [looked_up("word_embeddings", "input_ids"), looked_up("token_type_embeddings", "token_type_ids")])
    positions = graph.weight("positions", w["embeddings.position_embeddings.weight"][:TOKENS])
    x = norm(graph.node("Add", [x, positions]), "embeddings.LayerNorm")
    mask = graph.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    middle = graph.weight("middle", np.array([1, 2], np.int64))
    hidden = graph.node("Mul", [graph.node("Sub", [one, graph.node("Unsqueeze", [mask, middle])]), far])
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        query = heads(linear(x, f"{at}.attention.self.query"), [0, 2, 1, 3])
        key = heads(linear(x, f"{at}.attention.self.key"), [0, 2, 3, 1])
        value = heads(linear(x, f"{at}.attention.self.value"), [0, 2, 1, 3])
        scores = graph.node("Mul", [graph.node("MatMul", [query, key]), scale])
        shares = graph.node("Softmax", [graph.node("Add", [scores, hidden])], axis=-1)
        seen = graph.node("Transpose", [graph.node("MatMul", [shares, value])], perm=[0, 2, 1, 3])
        seen = linear(graph.node("Reshape", [seen, merge]), f"{at}.attention.output.dense")
        x = norm(graph.node("Add", [seen, x]), f"{at}.attention.output.LayerNorm")
        wide = linear(x, f"{at}.intermediate.dense")
        bent = graph.node("Add", [graph.node("Erf", [graph.node("Div", [wide, root2])]), one])
        wide = graph.node("Mul", [graph.node("Mul", [wide, bent]), half])
        x = norm(graph.node("Add", [linear(wide, f"{at}.output.dense"), x]), f"{at}.output.LayerNorm")
    last, first = graph.weight("last", np.array([2], np.int64)), graph.weight("first", np.array([1], np.int64))
    kept = graph.node("Mul", [x, graph.node("Unsqueeze", [mask, last])])
    sums = graph.node("ReduceSum", [kept, first], keepdims=0)
    count = graph.node("ReduceSum", [mask, first], keepdims=1)
    graph.node("LpNormalization", [graph.node("Div", [sums, count])], axis=-1, p=2)
    ids = [(name, TensorProto.INT64, ["batch", TOKENS]) for name in ("input_ids", "attention_mask", "token_type_ids")]
    model = graph.model("all-MiniLM-L6-v2", ids, ("sentence_embedding", TensorProto.FLOAT, ["batch", WIDTH]))
    tokens = lambda texts: tokenized(texts, vocabulary)
    check_sense(model, w, tokens)
    return model, [("a full text", tokens([LONG])), ("sentences", tokens(SENTENCES))]


def weights_of(wheel):
    """What lies in the safetensors file of the wheel, by name, and the vocabulary."""
    inner = zipfile.ZipFile(io.BytesIO(zipfile.ZipFile(wheel).read("all_minilm_l6_v2/model.zip")))
    raw = inner.read("model.safetensors")
    head = int.from_bytes(raw[:8], "little")
    index, data = json.loads(raw[8 : 8 + head]), memoryview(raw)[8 + head :]
    w = {}
    for name, at in index.items():
        if name != "__metadata__" and at["dtype"] == "F32":
            begin, end = at["data_offsets"]
            w[name] = np.frombuffer(data[begin:end], "<f4").reshape(at["shape"])
    return w, json.loads(inner.read("tokenizer.json"))["model"]["vocab"]


def tokenized(texts, vocabulary):
    """Word pieces, as BERT cuts plain English: the longest piece first."""

    def pieces(word):
        begin, found = 0, []
        while begin < len(word):
            ends = range(len(word), begin, -1)
            cut = next((end for end in ends if ("##" if begin else "") + word[begin:end] in vocabulary), None)
            if cut is None:
                return ["[UNK]"]
            found.append(("##" if begin else "") + word[begin:cut])
            begin = cut
        return found

    ids = np.zeros((len(texts), TOKENS), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        inside = [piece for word in words for piece in pieces(word)][: TOKENS - 2]
        own = [vocabulary[piece] for piece in ["[CLS]", *inside, "[SEP]"]]
        ids[row, : len(own)], mask[row, : len(own)] = own, 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def forward(w, feed):
    """The encoder in numpy, one sentence after the other and without padding."""

    def linear(x, name):
        return x @ w[f"{name}.weight"].T.astype(np.float64) + w[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]

    answers = []
    for ids, mask in zip(feed["input_ids"], feed["attention_mask"]):
        ids = ids[: mask.sum()]
        x = w["embeddings.word_embeddings.weight"][ids].astype(np.float64)
        x = x + w["embeddings.position_embeddings.weight"][: len(ids)] + w["embeddings.token_type_embeddings.weight"][0]
        x = norm(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            at, seen = f"encoder.layer.{layer}", []
            q, k, v = (linear(x, f"{at}.attention.self.{name}") for name in ("query", "key", "value"))
            for head in range(HEADS):
                own = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
                scores = np.exp(q[:, own] @ k[:, own].T / (WIDTH // HEADS) ** 0.5)
                seen.append(scores / scores.sum(-1, keepdims=True) @ v[:, own])
            x = norm(x + linear(np.concatenate(seen, -1), f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
            wide = linear(x, f"{at}.intermediate.dense")
            wide = wide * 0.5 * (1 + np.vectorize(erf)(wide / 2**0.5))
            x = norm(x + linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        mean = x.mean(0)
        answers.append(mean / np.linalg.norm(mean))
    return np.array(answers)


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check_sense(model, w, tokens):
    feed = tokens([*SENTENCES, LONG])
    got = session_of(model).run(None, feed)[0]
    off = np.abs(got - forward(w, feed)).max()
    cats, bank = got[0] @ got[1], max(got[0] @ got[2], got[1] @ got[2])
    print(f"  minilm: {off:.1e} from the forward pass in numpy; likeness of two cats {cats:.2f}, of a cat and a bank {bank:.2f}")
    assert off < 1e-4 and cats > 0.4 > 0.2 > bank, "the weights are not where they belong"


def golden(model, cases):
    names = {"float32": "FP32", "int64": "INT64"}

    def tensor(name, array):
        flat = array.ravel().tolist() if array.dtype == np.int64 else [float(str(each)) for each in array.ravel()]
        return {"name": name, "datatype": names[str(array.dtype)], "shape": list(array.shape), "data": flat}

    session, pairs = session_of(model), []
    for title, feed in cases:
        outputs = zip((output.name for output in session.get_outputs()), session.run(None, feed))
        pairs.append(
            {
                "name": title,
                "inputs": [tensor(*each) for each in feed.items()],
                "outputs": [tensor(*each) for each in outputs],
            }
        )
    made_by = f"onnxruntime {onnxruntime.__version__}"
    return json.dumps({"made_by": made_by, "tolerance": 1e-4, "cases": pairs}) + "\n"


def main():
    wheel, folder = sys.argv[1], Path(sys.argv[2])
    for name, (model, cases) in {"cnn": cnn(), "minilm": minilm(wheel)}.items():
        version = folder / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.onnx").write_bytes(model.SerializeToString())
        (version / "golden.json").write_text(golden(model, cases))
        print(f"  {name}: {len(model.graph.node)} nodes, {(version / 'model.onnx').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
