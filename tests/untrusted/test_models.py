"""Models that somebody made to do harm: one clear line each, and the process lives."""

import json
import os
import shutil
import subprocess
import sys

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from lightmine import Encoder
from lightmine.errors import ArgumentError, BundleError
from lightmine.loading.bundle import (
    MODEL,
    Manifest,
    manifest_json,
    parse_manifest,
    read_manifest,
    sha256,
    write_manifest,
)
from lightmine.loading.resolve import resolve_model
from lightmine.untrusted.model_paths import LARGEST_SETTINGS
from lightmine.untrusted.onnx_header import check_weights, read_graph
from tests import hostile
from tests.hostile import JSON, line_of, said_by

IN_A_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def put(bundle, model):
    """Another graph in a bundle, with its right hash: hashes tell of changes, not of intentions."""
    data = model if isinstance(model, bytes) else model.SerializeToString()
    (bundle / MODEL).write_bytes(data)
    write_manifest(bundle, read_manifest(bundle))
    return bundle


# --- the manifest


@pytest.mark.slow
@given(name=st.sampled_from([*Manifest.__dataclass_fields__, "later"]), value=JSON)
def test_whatever_a_manifest_says_it_is_read_whole_or_refused_in_a_line(tiny_bundle, name, value):
    fields = json.loads((tiny_bundle / "lightmine.json").read_text()) | {name: value}
    kept = []
    path = tiny_bundle / "lightmine.json"
    said = said_by(lambda: kept.append(parse_manifest(fields, path)))
    assert bool(kept) == (said is None)
    assert said is None or said.startswith(f"{path}: ")
    if kept:
        back = json.loads(manifest_json(kept[0]))
        back = {field: back[field] for field in fields}
        assert json.dumps(back, sort_keys=True) == json.dumps(fields, sort_keys=True)


@given(extra=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
@IN_A_FIXTURE
def test_fields_of_a_later_version_survive_being_written_again(bundle, extra):
    known = json.loads((bundle / "lightmine.json").read_text())
    extra = {name: value for name, value in extra.items() if name not in known}
    manifest = parse_manifest(known | extra, bundle / "lightmine.json")
    write_manifest(bundle, manifest)
    back = read_manifest(bundle)
    assert json.dumps(back.extra, sort_keys=True) == json.dumps(json.loads(json.dumps(extra)), sort_keys=True)
    (bundle / "lightmine.json").write_text(json.dumps(known))


@pytest.mark.parametrize(("fields", "message"), [
    (dict(dimension=2**40), "dimension must be from 1 to 65,536, not 1099511627776"),
    (dict(max_tokens=10**9), "max_tokens must be from 1 to 1,000,000"),
    (dict(pad_token_id=-1), "pad_token_id must be from 0"),
    (dict(batch_tokens=2**31), "batch_tokens must be from 0 to 10,000,000"),
    (dict(name="a\x1b[2J\nb"), r"name has characters that cannot be shown: 'a\x1b[2J\nb'"),
    (dict(languages=["en", "\r"]), "languages has characters that cannot be shown"),
    (dict(default_prompt="gone"), "the default prompt 'gone' is none of its prompts"),
    (dict(files={"model.onnx": "0" * 63}), "files: 'model.onnx' has no SHA-256 of 64 hexadecimal digits"),
    (dict(sizes={"model.onnx": "9"}), "sizes must be dict[str, int]"),
])  # fmt: skip
def test_what_a_manifest_may_not_say(bundle, fields, message):
    path = bundle / "lightmine.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    assert message in line_of(Encoder.load, bundle)


def test_a_manifest_without_end_is_refused(bundle):
    (bundle / "lightmine.json").write_text("[" * 100_000)
    assert "nested too deeply" in line_of(Encoder.load, bundle)
    with (bundle / "lightmine.json").open("wb") as file:
        file.truncate(LARGEST_SETTINGS + 1)
    assert "bytes, and settings have 16,777,216 at most" in line_of(Encoder.load, bundle)


# --- places


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_link_out_of_the_bundle_is_refused_and_one_within_is_not(bundle, tmp_path, name):
    away = tmp_path / "away"
    (bundle / name).rename(away)
    (bundle / name).symlink_to(away)
    assert f"{name}: a link to {away}, out of the model's folder" in line_of(Encoder.load, bundle)
    away.rename(bundle / "within")
    (bundle / name).unlink()
    (bundle / name).symlink_to("within")
    assert Encoder.load(bundle).encode(["a cat"]).shape == (1, 8)


def test_what_is_no_regular_file_is_refused_and_nobody_waits_for_it(bundle):
    (bundle / "model.onnx").unlink()
    os.mkfifo(bundle / "model.onnx")
    assert "model.onnx: not a regular file" in line_of(Encoder.load, bundle)
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to("model.onnx")
    assert "model.onnx: " in line_of(Encoder.load, bundle)


@pytest.mark.parametrize("place", ["../away", "/etc/passwd", "sub/../../away", "\0"])
def test_a_module_outside_of_its_model_is_refused(tmp_path, place):
    (tmp_path / "model/onnx").mkdir(parents=True)
    (tmp_path / "model/onnx/model.onnx").write_bytes(hostile.plain().SerializeToString())
    modules = [{"type": "sentence_transformers.models.Transformer", "path": place}]
    (tmp_path / "model/modules.json").write_text(json.dumps(modules))
    with pytest.raises(BundleError, match="leads out of the model"):
        resolve_model(tmp_path / "model")


def test_settings_linked_from_elsewhere_are_refused(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "model/modules.json").symlink_to(tmp_path / "modules.json")
    assert "a link to " in line_of(resolve_model, tmp_path / "model")


# --- hashes and sizes


def test_size_alone_finds_a_file_cut_short_and_full_finds_a_bit(bundle):
    whole = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(whole[:-1])
    for verify in ("full", "size"):
        assert "altered, it has 896 bytes where the manifest says 897" in line_of(
            Encoder.load, bundle, verify=verify
        )
    changed = bytearray(whole)
    changed[whole.index(b"tiny")] ^= 1  # the graph's name, which does no harm
    (bundle / "model.onnx").write_bytes(changed)
    assert "altered, its SHA-256 is " in line_of(Encoder.load, bundle)
    assert Encoder.load(bundle, verify="size").encode(["a cat"]).shape == (1, 8)
    # An old manifest states no sizes: hashes then, whatever was asked for.
    path = bundle / "lightmine.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sizes": {}}))
    assert "altered, its SHA-256 is " in line_of(Encoder.load, bundle, verify="size")


def test_an_unknown_way_to_verify_is_refused(bundle):
    with pytest.raises(ArgumentError, match="verify must be full or size, not 'no'"):
        Encoder.load(bundle, verify="no")


# --- graphs


GRAPHS = {
    "a weight of 2^43 bytes": (hostile.claims(2**38, 8), "claims 2,199,023,255,552 numbers and has 448"),
    "a weight whose size wraps around": (hostile.claims(2**62, 448), "numbers and has 448 bytes"),
    "numbers that are not raw": (hostile.claims(2**31, 2, raw=False), "claims 4,294,967,296 numbers and"),
    "axes without end": (hostile.claims(*[2**62] * 100_000), "has 100,000 axes"),
    "an axis under 0": (hostile.claims(-14, -8), "has an axis of negative length"),
    "weights above": (hostile.outside("../secret"), "'../secret' leads out of the model"),
    "weights anywhere": (hostile.outside("/etc/passwd"), "'/etc/passwd' leads out of the model"),
    "weights in memory": (hostile.outside("*/_ORT_MEM_ADDR_/*", offset=4096), "which is no file"),
    "weights nowhere": (hostile.outside(""), "which is no file"),
    "a Constant's weights": (hostile.outside("../secret", constant=True), "leads out of the model"),
    "a branch's weights": (hostile.inside_a_branch("../secret"), "leads out of the model"),
    "weights before the file": (hostile.outside("w.bin", offset=-8), "begins before its file does"),
    "weights after the file": (hostile.outside("w.bin", offset=2**40), "weights are to end at 1,099,511"),
    "weights longer than the file": (hostile.outside("w.bin", length=2**40), "weights are to end at 1,099"),
    "a function that calls itself": (hostile.calling([[0]]), "its function 'F0' calls itself"),
    "functions in a ring": (hostile.calling([[1], [2], [0]]), "calls itself"),
    "functions without bottom": (
        hostile.calling([[i + 1] for i in range(5000)] + [[]]), "call each other over 100 deep",
    ),
    "functions that double": (
        hostile.calling([[i + 1, i + 1] for i in range(40)] + [[]]), "make over 1,000,000 nodes",
    ),
    "no protobuf": (b"\xff" * 64, "not an ONNX graph, or cut short"),
    "a number without end": (b"\x80" * 10_000, "not an ONNX graph, or cut short"),
    "nothing": (b"", "not an ONNX graph, or cut short"),
    "a name that is no text": (
        hostile.plain().SerializeToString().replace(b"input_ids", b"input\xff\xfe\xfd\xfc"),
        "not an ONNX graph, or cut short",
    ),
    # What ONNX Runtime refuses itself, in one line and with nothing on standard output.
    "graphs in graphs": (hostile.nested(3000), "ONNX Runtime cannot load it"),
    "a whole number for floats": (hostile.output_of(TensorProto.INT64), "is of int64, not of floats"),
    "strings for floats": (hostile.output_of(TensorProto.STRING), "is of object, not of floats"),
    "a flat output": (hostile.output_of(TensorProto.FLOAT, axes=1), "gave vectors of shape (8,)"),
    "memory without end": (hostile.growing(2**50), "model.onnx: "),
}  # fmt: skip


@pytest.mark.parametrize("what", GRAPHS)
def test_a_hostile_graph_is_one_line(bundle, what, capfd):
    model, message = GRAPHS[what]
    (bundle / "w.bin").write_bytes(bytes(448))
    put(bundle, model)
    if "w.bin" in what or "the file" in what:
        path = bundle / "lightmine.json"
        fields = json.loads(path.read_text())
        fields["files"]["w.bin"] = sha256(bundle / "w.bin")
        path.write_text(json.dumps(fields))

    def use():
        Encoder.load(bundle).encode(["a cat"])

    found = line_of(use)
    assert message in found or ("names no " in found and "weights" in what), found
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("what", [name for name in GRAPHS if "eights" in name])
def test_weights_in_other_files_are_checked_where_no_manifest_names_files(tmp_path, what):
    (tmp_path / "w.bin").write_bytes(bytes(448))
    model, message = GRAPHS[what]
    (tmp_path / MODEL).write_bytes(model.SerializeToString())
    assert message in line_of(lambda: check_weights(tmp_path / MODEL, read_graph(tmp_path / MODEL)))


def test_weights_that_are_a_link_elsewhere_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(448))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/w.bin").symlink_to(tmp_path / "secret")
    path = tmp_path / "model" / MODEL
    path.write_bytes(hostile.outside("w.bin").SerializeToString())
    assert "w.bin: a link to " in line_of(lambda: check_weights(path, read_graph(path)))


@pytest.mark.parametrize("change", ["name", "element", "operator", "domain", "version"])
def test_a_graph_of_the_wrong_kind_is_one_line(bundle, change):
    model = hostile.plain()
    if change == "name":
        model.graph.input[0].name = model.graph.node[0].input[1] = "ids"
    elif change == "element":
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    elif change == "operator":
        model.graph.node[0].op_type = "Evil\x1b[31m"
    elif change == "domain":
        model.graph.node[0].domain = "evil.ops"
        model.opset_import.append(onnx.helper.make_opsetid("evil.ops", 1))
    else:
        model.opset_import[0].version = 9999
    put(bundle, model)
    assert MODEL in line_of(Encoder.load, bundle)


def test_weights_of_bundles_are_named_by_their_manifest(bundle):
    (bundle / "w.bin").write_bytes(bytes(448))
    put(bundle, hostile.outside("w.bin"))
    assert "names no w.bin, which the graph's weights are in" in line_of(Encoder.load, bundle)


@given(st.data())
@settings(max_examples=300)
def test_a_graph_with_any_bytes_changed_is_read_or_refused(tmp_path_factory, data):
    whole = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    said = said_by(lambda: check_weights(path, read_graph(path)))
    assert said is None or said.startswith(str(path.parent))


GOOD = hostile.calling([[1, 1], []]).SerializeToString()


def test_a_process_survives_loading_graphs_with_any_bytes_changed(bundle):
    code = """
import random, sys
from pathlib import Path
from lightmine import Encoder, LightmineError
from lightmine.loading.bundle import read_manifest, write_manifest
folder = Path(sys.argv[1])
good, chance, refused = (folder / "model.onnx").read_bytes(), random.Random(0), 0
for _ in range(60):
    changed = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    (folder / "model.onnx").write_bytes(changed)
    write_manifest(folder, read_manifest(folder))
    try:
        Encoder.load(folder, threads=1).encode(["a cat"])
    except LightmineError as error:
        refused += 1
print(refused)
"""
    put(bundle, hostile.plain())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, bundle], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
