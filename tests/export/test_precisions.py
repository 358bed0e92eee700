"""What the exporter's precisions are worth on all-MiniLM-L6-v2 with its real weights."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from lightmine import Encoder
from lightmine.encoder import openvino_provider
from lightmine.errors import ArgumentError
from lightmine.export import files
from lightmine.export.check import Check
from lightmine.export.export import export_bundle
from lightmine.export.recipe import Recipe
from tests import minilm, small_models
from tests.exporting import SHORT, refused

pytestmark = pytest.mark.torch

EMULATOR = shutil.which("qemu-x86_64")
TEXTS = ["How do I fix a flat bicycle tyre?", "The cat sleeps.", "That's what happened."]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Bundles by precision and target, each exported once; with their manifests."""
    folder, kept = tmp_path_factory.mktemp("precisions"), {}
    few = folder / "few.txt"
    few.write_text("\n".join([*SHORT, *TEXTS]), encoding="utf-8")

    def bundle(precision, target="any", optimize="basic"):
        key = f"{precision}-{target}-{optimize}"
        if key not in kept:
            recipe = Recipe(precision=precision, target=target, optimize=optimize)
            check = Check(
                evaluation=few, require={"neighbours": 0.5, "cosine_mean": 0.98, "cosine_min": 0.93}
            )
            kept[key] = (
                folder / key,
                export_bundle(minilm.model_folder(), folder / key, recipe=recipe, check=check),
            )
        return kept[key]

    return bundle


@pytest.mark.parametrize(
    ("precision", "megabytes", "mean", "lowest", "batch"),
    [
        ("int8", 25, 0.993, 0.98, "any"),
        ("int8-fast", 24, 0.99, 0.95, "dependent"),
        ("int8-static", 24, 0.99, 0.95, "any"),
        ("fp16", 47, 0.9999, 0.999, "dependent"),
    ],
)
def test_real_minilm_is_as_good_as_its_precision_promises(made, precision, megabytes, mean, lowest, batch):
    out, manifest = made(precision)
    assert manifest.parity["megabytes"] <= megabytes
    assert manifest.parity["cosine_mean"] >= mean
    assert manifest.parity["cosine_min"] >= lowest
    assert (manifest.precision, manifest.batch, manifest.cpus) == (precision, batch, ())
    assert f"precision | {precision} (torch.onnx.export" in (out / "verify.md").read_text(encoding="utf-8")


def test_int8_vectors_do_not_depend_on_the_rest_of_the_batch_and_fast_ones_do(made, real):
    source, _, _ = real
    changes = {}
    for precision in ("int8", "int8-fast"):
        encoder = Encoder.load(made(precision)[0])
        together = encoder.encode(TEXTS, batch_tokens=1000)
        alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
        changes[precision] = np.abs(together - alone).max()
        assert np.einsum("nd,nd->n", together, source.encode(TEXTS)).min() > 0.95
    assert changes["int8"] < 1e-6 < changes["int8-fast"]


def test_openvino_runs_the_static_form_in_int8_and_gives_the_vectors_of_the_cpu(made):
    out, _ = made("int8-static", "vnni")
    in_openvino = Encoder.load(
        out, provider="openvino", provider_options={"INFERENCE_PRECISION_HINT": "f32"}
    ).encode(TEXTS)
    assert np.einsum("nd,nd->n", in_openvino, Encoder.load(out, provider="cpu").encode(TEXTS)).min() > 0.998
    # As lightmine imports it: without its telemetry.
    core = openvino_provider._openvino().Core()
    kinds = [
        (node.get_rt_info()["layerType"], node.get_rt_info()["runtimePrecision"])
        for node in core.compile_model(str(out / "model.onnx"), "CPU").get_runtime_model().get_ops()
    ]
    assert [precision for kind, precision in kinds if kind == "FullyConnected"] == ["u8"] * 36


def test_fused_graph_gives_the_same_vectors_with_the_exact_gelu(made, real):
    out, _ = made("fp32", optimize="fused")
    operators = [node.op_type for node in onnx.load(out / "model.onnx").graph.node]
    assert operators.count("Attention") == 6
    assert operators.count("Gelu") == 6
    assert not {"SkipLayerNormalization", "FastGelu", "BiasGelu"} & set(operators)
    assert np.abs(Encoder.load(out).encode(TEXTS) - real[0].encode(TEXTS)).max() < 1e-5


def test_targets_decide_how_far_weights_reach_and_which_processors_a_bundle_is_for(made):
    reach = {}
    for target in ("any", "vnni"):
        out, manifest = made("int8", target)
        weights = [
            onnx.numpy_helper.to_array(tensor)
            for tensor in onnx.load(out / "model.onnx").graph.initializer
            if tensor.name.endswith("MatMul/int8") or ("MatMul" in tensor.name and tensor.data_type == 3)
        ]
        reach[target] = max(np.abs(weight.astype(int)).max() for weight in weights), manifest.cpus
    assert reach == {"any": (63, ()), "vnni": (127, ("vnni", "amx"))}


@pytest.mark.skipif(EMULATOR is None, reason="qemu-x86_64 is absent: apt-get install qemu-user")
def test_on_a_processor_without_vnni_only_the_reduced_range_is_right(made, real, tmp_path):
    tokenizer = Tokenizer.from_file(str(made("int8")[0] / "tokenizer.json"))
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch(TEXTS)
    np.savez(
        tmp_path / "feed.npz",
        input_ids=np.array([encoding.ids for encoding in encodings]),
        attention_mask=np.array([encoding.attention_mask for encoding in encodings]),
    )
    graphs = [made("int8-fast", target)[0] / "model.onnx" for target in ("any", "vnni")]
    command = [EMULATOR, "-cpu", "Haswell", sys.executable, "-m", "tests.emulated_graphs"]
    done = subprocess.run(
        [*command, tmp_path / "feed.npz", tmp_path / "out.npz", *graphs],
        # See test_emulated: NumPy's own AVX2 sorting crashes under this emulator.
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"},
        capture_output=True, text=True, timeout=300, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = np.load(tmp_path / "out.npz")
    wanted = real[0].encode(TEXTS)
    reduced, full = (np.einsum("nd,nd->n", rows[name], wanted) for name in ("0", "1"))
    assert reduced.min() > 0.97
    assert full.min() < 0.93


def test_same_model_and_calibration_give_the_same_bytes(small, tmp_path, few):
    check = Check(evaluation=few, require={"cosine_min": 0, "cosine_mean": 0, "neighbours": 0})
    for precision in ("int8", "int8-fast", "int8-static", "fp16"):
        files = [
            export_bundle(
                small, tmp_path / f"{precision}{n}", recipe=Recipe(precision=precision), check=check
            )
            for n in (1, 2)
        ]
        assert files[0].files == files[1].files


def test_calibration_sentences_change_an_int8_graph(small, tmp_path, few):
    check = Check(evaluation=few, require={"cosine_min": 0, "cosine_mean": 0, "neighbours": 0})
    ours, theirs = (
        export_bundle(small, tmp_path / name, recipe=Recipe(precision="int8-static", **options), check=check)
        for name, options in {"a": {}, "b": {"calibration": few}}.items()
    )
    assert ours.files["model.onnx"] != theirs.files["model.onnx"]


def test_qwen_shaped_model_in_int8(tmp_path, few):
    small_models.build(tmp_path / "model", architecture="qwen3", pooling="lasttoken", padding_side="left")
    out = tmp_path / "bundle"
    check = Check(evaluation=few, require={"cosine_min": 0.9, "cosine_mean": 0.9, "neighbours": 0})
    manifest = export_bundle(tmp_path / "model", out, recipe=Recipe(precision="int8"), check=check)
    assert manifest.parity["batch_change"] < 1e-5


def test_options_that_do_not_exist_are_refused(small, tmp_path, capsys):
    with pytest.raises(
        ArgumentError, match="precision must be fp32, fp16, int8, int8-fast, int8-static, not"
    ):
        Recipe(precision="int4")
    message = refused(capsys, small, tmp_path / "bundle", "--require", "speed=3")
    assert "no threshold is named speed" in message


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_weights_over_the_limit_lie_beside_a_quantised_graph_too(
    small, tmp_path, few, monkeypatch, precision
):
    monkeypatch.setattr(files, "LARGEST_FILE", 10_000)
    check = Check(evaluation=few, require={"cosine_min": 0.9, "cosine_mean": 0.9, "neighbours": 0})
    out = tmp_path / "bundle"
    manifest = export_bundle(small, out, recipe=Recipe(precision=precision), check=check)
    assert set(manifest.files) == {"model.onnx", "model.onnx.data", "tokenizer.json"}
    assert (out / "model.onnx.data").stat().st_size > 10_000
    # The files of the work in between are gone.
    assert {path.name for path in out.iterdir()} == {*manifest.files, "lightmine.json", "verify.md"}
