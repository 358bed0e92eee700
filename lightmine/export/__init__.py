"""The exporter: makes a bundle of a sentence-transformers model or of a folder with ONNX, and measures it.

It alone imports torch, transformers, sentence-transformers, onnx and optimum. Nothing of lightmine imports it
except the command ``lightmine export``.

The steps, and the module of each::

    source          find the model, read its card, refuse what cannot be exported exactly
    graph           the model's own modules as one ONNX graph (torch or transformers)
    optimum_graph   the same through optimum, in an environment of its own
    modules         pooling, dense layers and normalisation as ONNX nodes, for graphs that lack them
    optimize        constants folded, operators fused
    calibrate       the range of each activation on calibration sentences, and smoothing
    quantize        int8 weights, tables and activations, with weights rounded by `rounding`
    tokenizer       the fast tokenizer, compared with the model's own
    gate, check     measure the bundle against its source; refuse it where a figure is too low
"""
