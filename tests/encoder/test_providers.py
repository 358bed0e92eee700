"""Which provider runs the graph; CUDA with a fake ONNX Runtime, the others with the real one."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lightmine import Encoder
from lightmine.encoder import cuda_provider, onnx_runtime, openvino_provider
from lightmine.errors import ArgumentError, BundleError, MissingExtraError
from lightmine.loading.bundle import MODEL, read_manifest
from lightmine.system import processor
from tests.tiny import write_bundle

TEXTS = ["the cat sat on the mat", "a red log", "the dog", "under a red sky the dog ran"]


def test_auto_takes_the_processor_and_says_why_not_another(tiny_bundle):
    encoder = Encoder.load(tiny_bundle, threads=3)
    assert encoder.provider == "cpu"
    assert encoder.reason.startswith("3 workers of one thread; cuda not taken: this ONNX Runtime has no CUDA")
    assert "openvino not taken: " in encoder.reason


def test_nothing_spins_and_no_session_has_threads_of_its_own():
    options = onnx_runtime.session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.enable_mem_pattern is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(provider="gpu"), "provider must be one of auto, cpu, openvino, cuda, not 'gpu'"),
        (dict(provider_options={"a": "b"}), "provider_options belong to a provider: name one of"),
        (dict(threads=0), "threads must be a whole number of at least 1, not 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(tiny_bundle, options, message):
    with pytest.raises(ArgumentError, match=message):
        Encoder.load(tiny_bundle, **options)


class FakeSession:
    """A graph that ONNX Runtime's CPU provider runs, said to be where `parts` puts it."""

    def __init__(self, real, provider, parts):
        self.real, self.provider, self.parts, self.bound = real, provider, parts, 0

    def __getattr__(self, name):
        return getattr(self.real, name)

    def get_providers(self):
        return [self.provider, "CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self):
        nodes = {name: [SimpleNamespace(op_type=kind) for kind in kinds] for name, kinds in self.parts}
        return [SimpleNamespace(ep_name=name, get_nodes=lambda n=name: nodes[n]) for name in nodes]

    def run(self, *_):
        raise AssertionError("CUDA runs with IO binding")

    def run_with_iobinding(self, binding):
        self.bound += 1
        self.real.run_with_iobinding(binding)


@pytest.fixture
def cuda(monkeypatch):
    """ONNX Runtime as it would be with a GPU; change `fake` to have it otherwise."""
    import onnxruntime

    fake = SimpleNamespace(
        SessionOptions=onnxruntime.SessionOptions, preload_dlls=lambda: None, opened=[],
        providers=["CUDAExecutionProvider", "CPUExecutionProvider"], loads="CUDAExecutionProvider",
        parts=[("CUDAExecutionProvider", ["MatMul"]), ("CPUExecutionProvider", ["Shape", "Concat"])],
        get_ep_devices=list,
    )  # fmt: skip
    fake.get_available_providers = lambda: fake.providers

    def session(path, options, providers=None, **_):
        fake.given = providers
        real = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        fake.opened.append(FakeSession(real, fake.loads, fake.parts))
        return fake.opened[-1]

    fake.InferenceSession = session
    monkeypatch.setattr(onnx_runtime, "runtime", lambda: fake)
    monkeypatch.setattr(cuda_provider, "_installed", lambda name: name == "onnxruntime-gpu")
    return fake


def test_cuda_is_taken_where_it_runs_the_graph_and_uses_io_binding(cuda, tiny_bundle):
    plain = Encoder.load(tiny_bundle, provider="cuda", provider_options={"device_id": "1"})
    vectors = plain.encode(TEXTS)
    assert plain.provider == "cuda"
    assert cuda.opened[0].bound == 1
    # Not in TensorFloat-32 unless asked.
    expected = ("CUDAExecutionProvider", {"use_tf32": "0", "device_id": "1"})
    assert cuda.given == [expected, "CPUExecutionProvider"]
    assert Encoder.load(tiny_bundle).provider == "cuda"
    cuda.providers = ["CPUExecutionProvider"]
    cuda.opened.clear()
    assert vectors.shape == (4, 8)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


def test_cuda_that_cannot_be_is_refused_by_its_cause_and_auto_goes_on(cuda, tiny_bundle, monkeypatch):
    cases = [
        (dict(providers=["CPUExecutionProvider"]), MissingExtraError, "has no CUDA: pip uninstall -y onnx"),
        (dict(loads="CPUExecutionProvider"), BundleError, "CUDA did not load, ONNX Runtime fell back to CPU"),
        (dict(parts=[("CPUExecutionProvider", ["MatMulInteger", "Shape", "MatMulInteger"])]), BundleError,
         "CUDA leaves 2 MatMulInteger of this graph to another provider; use provider='cpu'"),
    ]  # fmt: skip
    for state, error, message in cases:
        with monkeypatch.context() as context:
            for name, value in state.items():
                context.setattr(cuda, name, value)
            with pytest.raises(error, match=message):
                Encoder.load(tiny_bundle, provider="cuda")
            context.setattr(FakeSession, "run", lambda self, *given: self.real.run(*given))
            auto = Encoder.load(tiny_bundle)
            assert auto.provider == "cpu"
            assert "cuda not taken: " in auto.reason
            assert auto.encode(TEXTS).shape == (4, 8)


def test_two_onnxruntimes_that_overwrite_each_other_are_named(cuda, tiny_bundle, monkeypatch):
    monkeypatch.setattr(cuda_provider, "_installed", lambda name: True)
    with pytest.raises(BundleError, match="onnxruntime and onnxruntime-gpu are both installed and overwrite"):
        Encoder.load(tiny_bundle, provider="cuda")
    assert "both installed" in Encoder.load(tiny_bundle).reason


def test_int8_graphs_are_not_tried_on_cuda(cuda, tmp_path):
    bundle = write_bundle(tmp_path / "int8", precision="int8")
    assert "cuda not taken: it does not run int8 graphs" in Encoder.load(bundle).reason


def test_what_is_installed_is_known():
    assert cuda_provider._installed("numpy")
    assert not cuda_provider._installed("no-such-distribution")
    assert importlib.metadata.version("onnxruntime")


def test_openvino_runs_the_graph_in_float32_as_the_processor_does(tiny_bundle):
    plain = Encoder.load(tiny_bundle, provider="cpu").encode(TEXTS)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    encoder = Encoder.load(tiny_bundle, provider="openvino", threads=2, provider_options=options)
    assert encoder.provider == "openvino"
    assert encoder.reason.endswith("f32, 2 streams")
    assert encoder.encode(TEXTS, batch_tokens=6) == pytest.approx(plain, abs=1e-5)
    assert encoder.encode(TEXTS[:1]) == pytest.approx(plain[:1], abs=1e-5)


def test_openvino_takes_bf16_where_the_processor_has_it(tiny_bundle):
    plain = Encoder.load(tiny_bundle, provider="cpu").encode(TEXTS)
    encoder = Encoder.load(tiny_bundle, provider="openvino")
    hint = "bf16" if {"avx512_bf16", "amx_bf16", "bf16"} & processor.features() else "f32"
    assert f" {hint}, " in encoder.reason
    assert ((encoder.encode(TEXTS) * plain).sum(axis=1) > 0.999).all()


def test_openvino_names_what_is_wrong(tiny_bundle, tmp_path, monkeypatch):
    with pytest.raises(BundleError, match=r"model\.onnx: .* cannot load it: .*NO_SUCH"):
        Encoder.load(tiny_bundle, provider="openvino", provider_options={"NO_SUCH": "1"})
    monkeypatch.setattr(openvino_provider.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"not installed: pip install 'onnxruntime-ep-openvino>=1.8'"):
        Encoder.load(tiny_bundle, provider="openvino")
    monkeypatch.undo()
    if "GenuineIntel" not in Path("/proc/cpuinfo").read_text():
        without = lambda name: name != "openvino" or None  # noqa: E731
        monkeypatch.setattr(openvino_provider.importlib.util, "find_spec", without)
        with pytest.raises(
            MissingExtraError, match="serves Intel's processors alone; on this one: pip install"
        ):
            Encoder.load(tiny_bundle, provider="openvino")


def test_openvino_sends_nothing_and_leaves_nothing_behind(tiny_bundle, tmp_path):
    code = """
import socket, sys
def refuse(*arguments, **named): raise AssertionError(f"network: {arguments}")
socket.getaddrinfo = socket.socket.connect = refuse
import lightmine
lightmine.Encoder.load(sys.argv[1], provider="openvino").encode(["a cat"])
loaded = [name for name in sys.modules if name.startswith("openvino_telemetry")]
assert not loaded, loaded
"""
    environment = os.environ | {"HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tiny_bundle)], check=True, env=environment
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-user: apt-get install qemu-user")
def test_openvinos_plugin_runs_every_node_on_an_intel_processor(tiny_bundle):
    code = """
import sys
import lightmine
encoder = lightmine.Encoder.load(sys.argv[1], provider="openvino", threads=2)
again = lightmine.Encoder.load(sys.argv[1], provider="openvino")
print(encoder.reason, encoder.encode(["the cat sat", "a red log"]).round(4).tolist(), sep="\\n")
"""
    command = ["qemu-x86_64", "-cpu", "Skylake-Server", sys.executable, "-c", code, str(tiny_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reason, vectors = done.stdout.strip().splitlines()
    assert reason == "asked for; OpenVINO's plugin, f32, 2 streams"
    plain = Encoder.load(tiny_bundle, provider="cpu").encode(["the cat sat", "a red log"])
    assert np.array(eval(vectors)) == pytest.approx(plain, abs=1e-3)


def test_a_plugin_that_leaves_arithmetic_to_another_is_refused(tiny_bundle, monkeypatch):
    part = SimpleNamespace(
        ep_name="CPUExecutionProvider", get_nodes=lambda: [SimpleNamespace(op_type="SkipLayerNormalization")]
    )
    session = SimpleNamespace(get_provider_graph_assignment_info=lambda: [part])
    with pytest.raises(
        BundleError, match="OpenVINO leaves 1 SkipLayerNormalization of this graph to another"
    ):
        onnx_runtime.check_complete(tiny_bundle / MODEL, session, onnx_runtime.OPENVINO)


@pytest.mark.parametrize(
    ("flags", "machine", "expected"),
    [
        ("fpu sse2 avx2", "x86_64", {"avx2"}),
        ("avx2 avx512f avx512bw avx512_vnni", "x86_64", {"avx2", "avx512", "vnni"}),
        ("avx2 avx_vnni", "x86_64", {"avx2", "vnni"}),
        ("avx2 avx512bw avx512_vnni amx_int8", "x86_64", {"avx2", "avx512", "vnni", "amx"}),
        ("asimd", "aarch64", {"arm64"}),
        ("", "x86_64", set()),
    ],
)
def test_a_bundle_is_refused_where_its_arithmetic_would_be_wrong(
    tmp_path, monkeypatch, flags, machine, expected
):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nmodel name : x\n")
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    processor.features.cache_clear()
    assert processor.targets() == expected
    bundle = write_bundle(tmp_path / "bundle", precision="int8", cpus=("vnni", "amx"))
    assert read_manifest(bundle).cpus == ("vnni", "amx")
    if expected & {"vnni", "amx"}:
        assert Encoder.load(bundle).provider == "cpu"
    else:
        with pytest.raises(
            BundleError, match="tiny: its int8 graph is for processors with vnni or amx, and this"
        ):
            Encoder.load(bundle)
    monkeypatch.undo()
    processor.features.cache_clear()
