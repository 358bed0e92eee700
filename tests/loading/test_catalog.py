import json

from click.testing import CliRunner

from lightmine.cli import cli
from lightmine.loading.catalog import FACTS, read_catalog


def test_every_fact_of_the_catalogue_says_where_it_was_read():
    entries = read_catalog()
    assert len({entry.name for entry in entries}) == len(entries) >= 12
    for entry in entries:
        assert entry.facts
        assert set(entry.facts) == set(entry.sources) <= set(FACTS), entry.name
        assert all(source.startswith("https://") for source in entry.sources.values())
        assert isinstance(entry.facts.get("dimension", 1), int)


def test_models_are_listed_with_a_dash_for_what_is_not_known():
    lines = CliRunner().invoke(cli, ["models"]).output.splitlines()
    assert lines[0].split() == ["model", "licence", "dimension", "languages", "pooling", "prompt"]
    small = next(line for line in lines if line.startswith("intfloat/multilingual-e5-small"))
    assert small.split()[1:3] == ["-", "384"]
    assert small.endswith("'query: '")
    base = next(line for line in lines if line.startswith("intfloat/multilingual-e5-base"))
    assert base.split()[1:3] == ["mit", "-"]
    given = json.loads(CliRunner().invoke(cli, ["models", "--json"]).output)
    assert [entry["name"] for entry in given] == [entry.name for entry in read_catalog()]
