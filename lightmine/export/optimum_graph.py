"""optimum's exporter, optimizer and quantizer, in an environment of their own.

optimum-onnx 0.1.0 needs transformers 4, so it cannot share an environment with sentence-transformers 6. As a
module, this file runs itself as a script with the Python of the other environment, and adds the model's
remaining modules to the graph. As a script, it writes a folder with ONNX and imports nothing of lightmine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

ENVIRONMENT = Path("build/optimum/bin/python")
VARIABLE = "LIGHTMINE_OPTIMUM_PYTHON"
# As make optimum does.
INSTALL_LINE = (
    "pip install torch==2.13.0 'optimum-onnx==0.1.0' 'transformers<4.58' 'sentence-transformers<6' "
    "onnxruntime"
)


def export_through_optimum(
    source: Path, scratch: Path, *, fused: bool, quantize: str | None, truncate_dim: int | None
) -> tuple[onnx.ModelProto, str]:
    """A model's folder as one graph, and how it was made.

    Raises
    ------
    MissingExtraError
        The environment is missing.
    BundleError
        optimum cannot export the model.
    """
    import onnx

    from lightmine.errors import BundleError
    from lightmine.export.modules import with_modules
    from lightmine.loading.directory import open_directory
    from lightmine.loading.modules import PostProcessing, Truncate

    folder = scratch / "optimum"
    # -P: the modules of this folder must not hide packages of the same names.
    command = [find_python(), "-P", __file__, str(source), str(folder)]
    command += ["--fused"] if fused else []
    command += ["--quantize", quantize] if quantize else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise BundleError(f"optimum cannot export {source.name}: {lines[-1]}")
    opened = open_directory(folder, name=source.name, revision=None, file=None, pooling=None)
    post = opened.post_processing
    if truncate_dim is not None:
        post = PostProcessing(
            post.output, post.feature, (*post.modules, Truncate(truncate_dim)), truncate_dim
        )
    return with_modules(onnx.load(opened.graph), post), done.stdout.strip().splitlines()[-1]


def find_python() -> str:
    """The Python of optimum's environment."""
    from lightmine.errors import MissingExtraError

    named = os.environ.get(VARIABLE)
    path = Path(named) if named else ENVIRONMENT.absolute()
    if not path.is_file():
        raise MissingExtraError(
            f"--exporter optimum needs another environment, and {path} is missing: in a clone run make "
            f"optimum, or in an environment of your own {INSTALL_LINE}, and name its Python in {VARIABLE}"
        )
    return str(path)


def main(argv: list[str] | None = None) -> int:
    """Write a folder with ONNX: the files of the model without its weights, and optimum's graph."""
    import importlib.metadata

    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--quantize", metavar="TARGET")
    options = parser.parse_args(argv)
    weights = shutil.ignore_patterns("*.safetensors", "*.bin", "*.h5", "*.onnx", "onnx", "openvino")
    shutil.copytree(options.source, options.out, ignore=weights)
    # The small weights of Dense modules are needed in addition to the graph.
    for path in options.source.glob("*/model.safetensors"):
        shutil.copy(path, options.out / path.relative_to(options.source))
    graph = _export(options.source, options.out / "exported")
    steps = [f"optimum-onnx {importlib.metadata.version('optimum-onnx')}"]
    if options.fused:
        graph = _fuse(graph)
        steps.append("ORTOptimizer O2")
    if options.quantize:
        graph = _quantize(graph, options.quantize)
        steps.append("ORTQuantizer dynamic")
    shutil.copy(graph, options.out / "model.onnx")
    if graph.with_name(graph.name + "_data").exists():
        shutil.copy(graph.with_name(graph.name + "_data"), options.out)
    shutil.rmtree(options.out / "exported")
    print(", ".join(steps))
    return 0


def _export(source: Path, out: Path) -> Path:
    from optimum.exporters.onnx import main_export

    main_export(
        str(source),
        output=str(out),
        task="feature-extraction",
        library_name="sentence_transformers",
        opset=17,
    )
    return out / "model.onnx"


def _fuse(graph: Path) -> Path:
    from optimum.onnxruntime import ORTOptimizer
    from optimum.onnxruntime.configuration import OptimizationConfig

    optimizer: Any = ORTOptimizer.from_pretrained(str(graph.parent), file_names=[graph.name])
    optimizer.optimize(
        OptimizationConfig(optimization_level=2), save_dir=str(graph.parent), file_suffix="fused"
    )
    return graph.with_name("model_fused.onnx")


def _quantize(graph: Path, target: str) -> Path:
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    kinds = {"arm64": AutoQuantizationConfig.arm64}
    if target in ("vnni", "amx"):
        kinds[target] = AutoQuantizationConfig.avx512_vnni
    make = kinds.get(target, AutoQuantizationConfig.avx2)
    config = make(is_static=False, per_channel=True)
    # 8 bits saturate without VNNI, and optimum's avx2 setting does not prevent that for dynamic graphs.
    config.reduce_range = target not in ("vnni", "amx", "arm64")
    quantizer: Any = ORTQuantizer.from_pretrained(str(graph.parent), file_name=graph.name)
    quantizer.quantize(save_dir=str(graph.parent), quantization_config=config, file_suffix="int8")
    return graph.with_name(graph.stem + "_int8.onnx")


if __name__ == "__main__":
    sys.exit(main())
