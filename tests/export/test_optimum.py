"""The exporter through optimum, which lives in an environment of its own: make optimum runs these."""

import dataclasses
import os

import numpy as np
import pytest

from lightmine import Encoder
from lightmine.export.check import Check
from lightmine.export.export import export_bundle
from lightmine.export.optimum_graph import VARIABLE
from lightmine.export.recipe import Recipe
from tests import minilm
from tests.exporting import SHORT, refused

pytestmark = pytest.mark.torch

there = pytest.mark.skipif(
    VARIABLE not in os.environ,
    reason="runs only in make optimum, which builds the environment",
)


@there
@pytest.mark.parametrize("level", ["basic", "fused"])
def test_optimum_makes_the_same_bundle_of_real_minilm(real, tmp_path, level):
    _, default, manifest = real
    recipe = Recipe(optimize=level)
    made = export_bundle(minilm.model_folder(), tmp_path / "bundle", exporter="optimum", recipe=recipe)
    changed = {
        name
        for name, value in dataclasses.asdict(made).items()
        if value != dataclasses.asdict(manifest)[name]
    }
    assert changed <= {"inputs", "recipe", "files", "parity"}
    assert made.parity["cosine_min"] >= 0.99999
    rows = [Encoder.load(path).encode(SHORT) for path in (default, tmp_path / "bundle")]
    assert np.einsum("nd,nd->n", *rows).min() >= 0.99999


@there
def test_optimums_quantizer_makes_an_int8_fast_bundle(real, few, tmp_path):
    check = Check(evaluation=few, require={"neighbours": 0, "cosine_min": 0.9, "cosine_mean": 0.95})
    out = tmp_path / "bundle"
    made = export_bundle(
        minilm.model_folder(), out, exporter="optimum", recipe=Recipe(precision="int8-fast"), check=check
    )
    assert (made.precision, made.batch) == ("int8-fast", "dependent")
    assert "ORTQuantizer dynamic" in made.recipe


def test_without_its_environment_the_error_names_the_command(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    message = refused(capsys, small, tmp_path / "bundle", "--exporter", "optimum")
    assert "is missing: in a clone run make optimum, or in an environment of your own pip install" in message
