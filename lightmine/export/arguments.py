"""The options of the exporter's commands. Nothing here imports torch or onnx, so help needs neither."""

from __future__ import annotations

import argparse

INT8 = ("int8", "int8-fast", "int8-static")
PRECISIONS = ("fp32", "fp16", *INT8)
LEVELS = ("none", "basic", "fused")
TARGETS = ("any", "avx2", "avx512", "vnni", "amx", "arm64")
OPSET = 17


def export_parser() -> argparse.ArgumentParser:
    """The command line of the export."""
    parser = command(
        "lightmine export",
        purpose="Export a sentence-transformers model to a lightmine bundle and measure its vectors.",
        example="sentence-transformers/LaBSE labse --precision int8",
    )
    parser.add_argument("model", metavar="MODEL", help="a model's folder, or its id on the hub")
    parser.add_argument("out", metavar="OUT", help="the bundle's folder")
    parser.add_argument(
        "--from-onnx", action="store_true", help="MODEL is a folder that carries ONNX; torch is not needed"
    )
    parser.add_argument("--file", metavar="NAME", help="with --from-onnx: which ONNX file, of several")
    parser.add_argument("--pooling", metavar="MODE", help="with --from-onnx: if no file states it")
    parser.add_argument(
        "--exporter",
        choices=("torch", "optimum"),
        default="torch",
        help="optimum needs an environment of its own (default: %(default)s)",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="default: %(default)s")
    parser.add_argument("--optimize", choices=LEVELS, default="basic", help="default: %(default)s")
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default="any",
        help="the processors that int8 must suit (default: %(default)s)",
    )
    parser.add_argument(
        "--calibrate", metavar="FILE", help="sentences for the calibration of int8 (default: ours)"
    )
    parser.add_argument("--name", help="the bundle's name (default: the last part of the source's)")
    parser.add_argument("--licence", help="what to record if the model's card states none")
    parser.add_argument("--truncate-dim", type=int, metavar="N", help="keep N dimensions (Matryoshka models)")
    parser.add_argument("--opset", type=int, default=OPSET, help="ONNX operator set (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a bundle at OUT")
    return parser


def command(program: str, *, purpose: str, example: str) -> argparse.ArgumentParser:
    """The parser of a command, with the options that all have: a hub model's revision, and the gate's."""
    parser = argparse.ArgumentParser(
        prog=program, description=purpose, epilog=f"example: {program} {example}"
    )
    parser.add_argument("--revision", help="a hub model's branch, tag or commit")
    group = parser.add_argument_group("the gate")
    group.add_argument(
        "--eval", metavar="FILE", help="sentences to measure on (default: ours, in the model's languages)"
    )
    group.add_argument("--sts", metavar="FILE", help="CSV or TSV of two sentences and a score, for Spearman")
    group.add_argument(
        "--require",
        metavar="NAME=X",
        action="append",
        default=[],
        help="another threshold, as cosine_min=0.98",
    )
    group.add_argument("--speed", action="store_true", help="measure the speed of both, too")
    return parser
