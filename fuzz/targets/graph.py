"""What an ONNX file says about itself."""

from fuzz.targets import file, refusing
from lightmine.untrusted.onnx_header import read_graph


def one_input(data):
    with refusing():
        graph = read_graph(file("x.onnx", data))
        assert all(isinstance(value.name, str) for value in graph.inputs + graph.outputs)
