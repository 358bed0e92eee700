"""Safetensors: whole files, and files whose header alone is mutated."""

from fuzz.targets import file, refusing
from lightmine.untrusted.safetensors import read_weights


def one_input(data):
    choice, data = (data[0], data[1:]) if data else (0, b"")
    if choice % 4:
        data = len(data).to_bytes(8, "little") + data + bytes(64)
    with refusing():
        for weights in read_weights(file("x.safetensors", data)).values():
            assert weights.dtype == "float32"
