"""ONNX files and tokenizers that somebody made to do harm, by what they do."""

import copy

import numpy as np
import onnx
import pytest
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from lightmine.errors import BundleError, LightmineError
from tests.tiny import graph

EVIL = "evil"


def plain():
    return graph(8, True, "attention_mask", False)


def table(model):
    return next(tensor for tensor in model.graph.initializer if tensor.name == "table")


def claims(*dims, raw=True):
    """A weight of more numbers than there are bytes."""
    model = plain()
    table(model).dims[:] = dims
    if not raw:
        table(model).ClearField("raw_data")
        table(model).float_data[:] = [1.0]
    return model


def outside(location, *, constant=False, **entries):
    """Weights in another file, of the graph's own or of a Constant's."""
    model = plain()
    tensor = table(model)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    if constant:
        node = onnx.NodeProto(op_type="Constant", output=["table"])
        attribute = node.attribute.add(name="value", type=AttributeProto.TENSOR)
        attribute.t.CopyFrom(tensor)
        attribute.t.name = ""
        model.graph.initializer.remove(tensor)
        _before(model, "Gather", [node])
    return model


def inside_a_branch(location):
    """The same in the branch of an If, where a reader of the top alone does not look."""
    model = plain()
    tensor = copy.deepcopy(table(outside(location)))
    tensor.name = "hidden"
    output = helper.make_tensor_value_info("branched", TensorProto.FLOAT, None)
    node = helper.make_node("Identity", ["hidden"], ["branched"])
    branch = helper.make_graph([node], "branch", [], [output], [tensor])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    _before(
        model,
        "Gather",
        [helper.make_node("If", ["yes"], ["unused"], then_branch=branch, else_branch=branch)],
    )
    return model


def calling(calls):
    """A graph that calls function 0, where `calls` lists which functions each function calls in turn."""
    model = plain()
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(EVIL, 1)]
    model.opset_import.append(versions[1])
    for number, called in enumerate(calls):
        nodes, value = [], "x"
        for place, other in enumerate(called or ["Identity"]):
            name, domain = (other, "") if isinstance(other, str) else (f"F{other}", EVIL)
            nodes.append(helper.make_node(name, [value], [f"y{place}"], domain=domain))
            value = f"y{place}"
        model.functions.append(helper.make_function(EVIL, f"F{number}", ["x"], [value], nodes, versions))
    _before(model, "LpNormalization", [helper.make_node("F0", ["sum"], ["called"], domain=EVIL)], "called")
    return model


def growing(numbers):
    """A graph that asks for an array of so many numbers while it runs."""
    model = plain()
    model.graph.initializer.append(numpy_helper.from_array(np.array([numbers]), "shape"))
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Add", ["sum", "zero"], ["grown"]),
    ]
    _before(model, "LpNormalization", nodes, "grown")
    return model


def nested(n_components):
    """Graphs in attributes in nodes in graphs, as bytes: no library writes it so deep."""
    inner = b""
    for _ in range(n_components):
        for field in (6, 5, 1):
            inner = bytes([field << 3 | 2]) + _varint(len(inner)) + inner
    return bytes([7 << 3 | 2]) + _varint(len(inner)) + inner


def output_of(element, *, axes=2):
    """A graph whose output is of another type or rank."""
    model = plain()
    cast = model.graph.node[-1]
    assert cast.op_type == "Cast"
    cast.attribute[0].i = element
    kind = model.graph.output[0].type.tensor_type
    kind.elem_type = element
    if axes == 1:
        shape = numpy_helper.from_array(np.array([-1]), "flat")
        model.graph.initializer.append(shape)
        cast.output[0] = "cast"
        model.graph.node.append(helper.make_node("Reshape", ["cast", "flat"], ["sentence_embedding"]))
        del kind.shape.dim[1]
    return model


def _before(model, operator, nodes, value=None):
    """Put nodes before the first of an operator, whose first input becomes `value`."""
    all_nodes = list(model.graph.node)
    place = next(i for i, node in enumerate(all_nodes) if node.op_type == operator)
    if value:
        all_nodes[place].input[0] = value
    all_nodes[place:place] = nodes
    del model.graph.node[:]
    model.graph.node.extend(all_nodes)


def _varint(number):
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


TOKENIZER = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "a": 2}, "unk_token": "[UNK]"},
}  # fmt: skip


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "..", "/etc/passwd", "a\x1b[2Jb", "\0", "mean", "x" * 70]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def line_of(function, *arguments, **options):
    with pytest.raises(LightmineError) as caught:
        function(*arguments, **options)
    text = str(caught.value)
    assert text.isprintable(), text
    return text


def said_by(call):
    """What a call is refused with, None where it is not."""
    try:
        call()
    except BundleError as error:
        return str(error)
    return None
