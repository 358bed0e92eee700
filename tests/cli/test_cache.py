"""--cache, and ``lightmine cache``."""

import json
import os

import pytest

from lightmine.cli.cache import parse_age
from lightmine.errors import ArgumentError
from tests.command_line import ENGLISH, GERMAN, QUESTIONS, run

__all__ = ["run"]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.mark.parametrize(
    "command",
    [
        ["paraphrase", QUESTIONS, "--threshold", "0.6"],
        ["paraphrase", QUESTIONS, ENGLISH],
        ["bitext", ENGLISH, GERMAN],
        ["bitext", QUESTIONS, QUESTIONS, "--score-only"],
    ],
)
def test_pairs_are_the_same_with_a_cache_and_the_second_run_encodes_nothing(run, cache, command):
    plain = run(*command, "-q")
    first, second = run(*command, "--cache", cache), run(*command, "--cache", cache)
    assert plain[:2] == first[:2] == second[:2]
    assert f"{QUESTIONS if QUESTIONS in command else ENGLISH}: 0 of" in first[2]
    for line in second[2].splitlines():
        if " embeddings from the cache " in line:
            found, total = line.split(": ")[2].split(" embeddings")[0].split(" of ")
            assert found == total
    assert " embeddings from the cache " in second[2]


def test_measuring_takes_the_cache_too(run, cache, tmp_path):
    gold = tmp_path / "gold.tsv"
    gold.write_text("1\t2\n")
    for _ in range(2):
        status, _, err = run("evaluate", "paraphrase", QUESTIONS, gold, "--cache", cache)
        assert status == 0, err
    assert " embeddings from the cache " in err
    assert f"{QUESTIONS}: 0 of" not in err


def test_the_environment_names_a_cache_only_where_the_user_says_so(run, cache, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run("paraphrase", QUESTIONS, "-q")
    assert os.listdir() == []
    monkeypatch.setenv("LIGHTMINE_CACHE", str(cache))
    run("paraphrase", QUESTIONS, "-q")
    assert os.listdir() == ["cache"]
    status, out, _ = run("cache", "list")
    assert status == 0
    assert "static-multilingual" in out
    monkeypatch.setenv("LIGHTMINE_CACHE", "")
    assert run("cache", "list")[0] == 2


def test_list_shows_and_prune_removes(run, cache):
    run("paraphrase", QUESTIONS, "-q", "--cache", cache)
    _, out, err = run("cache", "list", "--cache", cache)
    header, row = out.splitlines()
    assert header.split() == ["model", "options", "sentences", "entries", "size", "last", "used"]
    assert row.split()[:4] == ["static-multilingual", "cpu", "50", "1"]
    assert "1 entry of " in err
    (fact,) = map(json.loads, run("cache", "list", "--cache", cache, "--json")[1].splitlines())
    assert (fact["sentences"], fact["identity"]["prompt"]) == (50, "")
    assert "0 entries of 0 bytes removed" in run("cache", "prune", "--cache", cache, "--older-than", "1d")[2]
    assert "0 entries of 0 bytes removed" in run("cache", "prune", "--cache", cache, "--max-size", "1GB")[2]
    assert "1 entry of " in run("cache", "prune", "--cache", cache, "--all")[2]
    assert os.listdir(cache) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list"], "which cache? give --cache DIR, or set LIGHTMINE_CACHE"),
        (["list", "--cache", "gone"], "gone: no such folder; name the one that --cache was given"),
        (["prune", "--cache", "."], "say what may go: --older-than AGE, --max-size SIZE, or --all of it"),
        (["prune", "--cache", ".", "--all", "--max-size", "1GB"], "say what may go"),
        (["prune", "--cache", ".", "--older-than", "soon"], "'soon' is not an age; say it like 90m, 12h"),
        (["prune", "--cache", ".", "--max-size", "little"], "'little' is not a size"),
    ],
)
def test_bad_input_gets_one_line_and_exit_2(run, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run("cache", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_ages_are_numbers_with_a_unit():
    assert parse_age("30d") == 30 * 86_400
    with pytest.raises(ArgumentError, match="'30' is not an age"):
        parse_age("30")
