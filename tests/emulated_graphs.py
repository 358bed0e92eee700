"""Graphs run on whatever processor this is: under an emulator, by test_precisions.

``python -m tests.emulated_graphs FEED.npz OUT.npz GRAPH...`` writes each graph's vectors.
"""

import sys

import numpy as np

from lightmine.encoder.onnx_runtime import runtime, session_options


def main(feed, out, *graphs):
    given = dict(np.load(feed))
    found = {}
    for place, path in enumerate(graphs):
        session = runtime().InferenceSession(path, session_options(), providers=["CPUExecutionProvider"])
        found[str(place)] = session.run(None, given)[0]
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
