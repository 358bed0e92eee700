"""lightmine evaluate and lightmine calibrate, as they are typed."""

import json

import numpy as np
import pytest
from scipy import stats

from lightmine import Encoder, mine_bitext, mine_paraphrases
from lightmine import evaluation as evaluate
from tests.command_line import ENGLISH, GERMAN, QUESTIONS, rows, run

__all__ = ["run"]


@pytest.fixture(scope="module")
def english():
    return ENGLISH.read_text().splitlines()


@pytest.fixture(scope="module")
def german():
    return GERMAN.read_text().splitlines()


@pytest.fixture
def bucc(tmp_path, english, german):
    """The examples as BUCC has them; gold is what is mined best, and a pair that never is."""
    for language, texts in (("en", english), ("de", german)):
        (tmp_path / f"x.{language}").write_text(
            "".join(f"{language}-{i}\t{text}\n" for i, text in enumerate(texts))
        )
    encode = Encoder.load().encode
    found = mine_bitext(encode(english), encode(german))
    gold = [*((i, j) for _, i, j in list(found)[:15]), (int(found.left[0]), int(found.right[1]))]
    (tmp_path / "x.gold").write_text("".join(f"en-{i}\tde-{j}\n" for i, j in gold))
    return [tmp_path / f"x.{end}" for end in ("en", "de", "gold")], found, gold


def test_bucc_finds_the_threshold_of_the_best_f1(run, bucc, tmp_path):
    paths, found, gold = bucc
    out = tmp_path / "mined.tsv"
    status, shown, _ = run("evaluate", "bucc", *paths, "--json", "-o", out)
    assert status == 0
    expected = evaluate.bitext_mining(found.left, found.right, found.score, gold)
    figures = json.loads(shown)
    assert (figures["f1"], figures["threshold"], figures["mined"], figures["gold"]) == (
        expected.f1, expected.threshold, len(found), 16,
    )  # fmt: skip
    assert figures["precision"] == 1.0
    status, again, _ = run("evaluate", "pairs", out, paths[2], "--json")
    figures = {name: value for name, value in figures.items() if not name.startswith("recommended")}
    assert (status, json.loads(again)) == (0, figures)


def test_bucc_measures_what_bitext_writes_with_the_recommended_limits(run, bucc, tmp_path):
    paths, _, gold = bucc
    figures = json.loads(run("evaluate", "bucc", *paths, "--json")[1])
    assert run("bitext", *paths[:2], "--id-column", 1, "-o", tmp_path / "mined.tsv", "-q")[0] == 0
    mined = rows((tmp_path / "mined.tsv").read_text())
    names = {tuple(line.split("\t")) for line in paths[2].read_text().splitlines()}
    right = sum((row["source_ids"], row["target_ids"]) in names for row in mined)
    assert figures["recommended_precision"] == pytest.approx(right / len(mined))
    assert figures["recommended_recall"] == pytest.approx(right / len(gold))
    assert figures["recommended_threshold"] == 1.169
    assert figures["mined"] >= len(mined) > 0
    asked = json.loads(run("evaluate", "bucc", *paths, "--json", "--threshold", 1.3)[1])
    assert not any(name.startswith("recommended") for name in asked)


def test_pairs_that_bitext_wrote_are_measured_by_their_ids(run, bucc, tmp_path):
    paths, found, gold = bucc
    out = tmp_path / "mined.tsv"
    assert run("bitext", *paths[:2], "--id-column", 1, "-o", out)[0] == 0
    status, shown, _ = run("evaluate", "pairs", out, paths[2], "--json")
    expected = evaluate.bitext_mining(found.left, found.right, found.score, gold)
    assert (status, json.loads(shown)["f1"]) == (0, pytest.approx(expected.f1))


def test_pairs_without_scores_have_one_precision(run, tmp_path):
    (tmp_path / "mined").write_text("a\tx\nb\ty\nc\tz\n")
    (tmp_path / "gold").write_text("a\tx\nb\tz\nd\tw\ne\tv\n")
    status, shown, _ = run("evaluate", "pairs", tmp_path / "mined", tmp_path / "gold", "--json")
    figures = json.loads(shown)
    assert (status, figures["precision"], figures["recall"]) == (0, pytest.approx(1 / 3), 0.25)


def test_paraphrases_by_line_numbers_or_ids(run, tmp_path):
    texts = QUESTIONS.read_text().splitlines()
    found = mine_paraphrases(Encoder.load().encode(texts))
    gold = [(int(i), int(j)) for i, j in zip(found.left[:6], found.right[:6], strict=True)]
    expected = evaluate.paraphrase_mining(found.left, found.right, found.score, gold)
    (tmp_path / "q").write_text("".join(f"q{i}\t{text}\n" for i, text in enumerate(texts)))
    (tmp_path / "ids").write_text("".join(f"q{j}\tq{i}\n" for i, j in gold))
    for base in (0, 1):
        (tmp_path / f"gold{base}").write_text("".join(f"{i + base}\t{j + base}\n" for i, j in gold))
    for arguments in (
        [QUESTIONS, tmp_path / "gold1"], [QUESTIONS, tmp_path / "gold0", "--count-from", 0],
        [tmp_path / "q", tmp_path / "ids", "--id-column", 1],
    ):  # fmt: skip
        status, shown, _ = run("evaluate", "paraphrase", *arguments, "--json")
        figures = json.loads(shown)
        assert status == 0
        assert figures["average_precision"] == pytest.approx(expected.average_precision)
        assert figures["threshold"] == pytest.approx(expected.threshold)
    status, shown, _ = run("evaluate", "paraphrase", QUESTIONS, tmp_path / "gold1", "--closure", "--json")
    assert json.loads(shown)["gold"] == len(evaluate.transitive_closure(gold))


def test_retrieval_and_similarity(run, tmp_path, english, german):
    pairs = [(i, j) for _, i, j in mine_bitext(*map(Encoder.load().encode, (english, german)))][:8]
    (tmp_path / "a").write_text("\n".join(english[i] for i, _ in pairs))
    (tmp_path / "b").write_text("\n".join(german[j] for _, j in pairs))
    status, shown, _ = run("evaluate", "retrieval", tmp_path / "a", tmp_path / "b")
    assert status == 0
    assert dict(line.rsplit(maxsplit=1) for line in shown.splitlines())["sentences"] == "8"
    (tmp_path / "sts.csv").write_text(
        "".join(f'"{english[0]}","{text}",{i % 5}\n' for i, text in enumerate(english[1:9]))
    )
    status, shown, _ = run("evaluate", "sts", tmp_path / "sts.csv", "--json")
    x = Encoder.load().encode(english[:9])
    expected = stats.spearmanr(x[1:] @ x[0], [i % 5 for i in range(8)]).statistic
    assert json.loads(shown)["spearman"] == pytest.approx(expected)


@pytest.mark.torch
def test_figures_are_those_of_sentence_transformers_with_the_same_vectors(rng):
    from sentence_transformers.sentence_transformer.evaluation import ParaphraseMiningEvaluator

    from tests.fixed import FixedVectors

    centres = rng.standard_normal((60, 24))
    group = rng.integers(0, 60, 400)
    x = centres[group] + 0.8 * rng.standard_normal((400, 24))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    gold = [(i, j) for i in range(400) for j in range(i + 1, 400) if group[i] == group[j] and (i + j) % 3]
    texts = [f"sentence {i}" for i in range(400)]
    evaluator = ParaphraseMiningEvaluator(
        {str(i): text for i, text in enumerate(texts)}, [(str(i), str(j)) for i, j in gold], write_csv=False
    )
    theirs = evaluator(FixedVectors(texts, x))
    found = mine_paraphrases(x)
    ours = evaluate.paraphrase_mining(found.left, found.right, found.score, gold)
    for name in ("average_precision", "f1", "precision", "recall", "threshold"):
        assert getattr(ours, name) == pytest.approx(theirs[name], abs=1e-6)
    assert 0.1 < ours.f1 < 0.99


@pytest.mark.torch
def test_transitive_closure_is_that_of_sentence_transformers(rng):
    from collections import defaultdict

    from sentence_transformers.sentence_transformer.evaluation import ParaphraseMiningEvaluator

    pairs = rng.integers(0, 60, (40, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    graph = defaultdict(lambda: defaultdict(bool))
    for a, b in pairs.tolist():
        graph[a][b] = graph[b][a] = True
    closed = ParaphraseMiningEvaluator.add_transitive_closure(graph)
    theirs = {(min(a, b), max(a, b)) for a in closed for b in closed[a] if closed[a][b]}
    assert set(map(tuple, evaluate.transitive_closure(pairs).tolist())) == theirs


# Calibration


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A few hundred sentences of three words and a number, some of them on both sides but for a word."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    words = sorted({word for path in (ENGLISH, QUESTIONS) for word in path.read_text().split()})
    texts = [" ".join(rng.choice(words, 7)) for _ in range(700)]
    changed = [" ".join([*text.split()[:5], rng.choice(words)]) for text in texts[:250]]
    (folder / "a").write_text("\n".join(texts[:450]))
    (folder / "b").write_text("\n".join(changed + texts[450:]))
    (folder / "both").write_text("\n".join(texts[:450] + changed))
    (folder / "gold").write_text("".join(f"{i}\t{i}\n" for i in range(1, 251)))
    (folder / "gold-both").write_text("".join(f"{i}\t{i + 450}\n" for i in range(1, 251)))
    return folder


def figures_of(shown):
    return {
        name: float(value.replace(",", ""))
        for name, value in (line.rsplit(maxsplit=1) for line in shown.splitlines())
    }


@pytest.mark.slow
def test_a_threshold_from_gold_is_that_of_evaluation(run, corpus):
    status, shown, _ = run("calibrate", "bitext", corpus / "a", corpus / "b", "--gold", corpus / "gold")
    assert status == 0
    chosen = figures_of(shown)
    encode = Encoder.load().encode
    found = mine_bitext(*(encode((corpus / name).read_text().splitlines()) for name in "ab"))
    expected = evaluate.bitext_mining(found.left, found.right, found.score, [(i, i) for i in range(250)])
    assert (chosen["f1"], chosen["threshold"]) == pytest.approx((expected.f1, expected.threshold), abs=1e-6)
    _, shown, _ = run(
        "calibrate", "bitext", corpus / "a", corpus / "b", "--gold", corpus / "gold", "--precision", 0.99
    )
    assert figures_of(shown)["precision"] >= 0.99


@pytest.mark.slow
def test_a_threshold_without_gold_comes_with_its_curve_and_picture(run, corpus, tmp_path):
    table, picture = tmp_path / "curve.tsv", tmp_path / "curve.svg"
    status, shown, err = run(
        "calibrate",
        "bitext",
        corpus / "a",
        corpus / "b",
        "--precision",
        0.8,
        "--curve",
        table,
        "--plot",
        picture,
    )
    assert status == 0
    chosen = figures_of(shown)
    assert chosen["precision"] >= 0.8
    assert "estimated without gold" in err
    curve = rows(table.read_text())
    assert list(curve[0]) == ["threshold", "taken", "precision", "recall", "f1"]
    at = next(row for row in curve if int(row["taken"]) == chosen["taken"])
    assert float(at["threshold"]) == pytest.approx(chosen["threshold"], abs=1e-6)
    assert picture.read_text().startswith("<?xml")
    # The threshold is one that bitext takes.
    _, out, _ = run("bitext", corpus / "a", corpus / "b", "--threshold", chosen["threshold"], "-q")
    assert len(rows(out)) == chosen["taken"]


def test_paraphrase_thresholds_with_gold_and_without(run, corpus):
    status, shown, _ = run(
        "calibrate", "paraphrase", corpus / "both", "--gold", corpus / "gold-both", "--precision", 0.9
    )
    assert (status, figures_of(shown)["precision"] >= 0.9) == (0, True)
    status, shown, err = run("calibrate", "paraphrase", corpus / "both", "--precision", 0.5)
    assert status == 0 or "no threshold reaches" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["evaluate", "bucc", ENGLISH, GERMAN, GERMAN],
            "english.txt: line 1 has no tab; an id, a tab and a sentence",
        ),
        (
            ["evaluate", "bucc", "x.en", "x.en", "bad.gold"],
            "bad.gold: line 1: no right sentence has the id 'zz'",
        ),
        (["evaluate", "bucc", "twice", "x.en", "x.gold"], "twice: line 2: the id 'a' is that of line 1 too"),
        (["evaluate", "bucc", "x.en", "x.en", "empty"], "empty: holds no pairs"),
        (["evaluate", "pairs", "x.gold", "gone"], "gone: no such file"),
        (["evaluate", "pairs", "scores", "x.gold"], "scores: line 1: 'high' is not a score"),
        (
            ["evaluate", "paraphrase", ENGLISH, "zero"],
            "zero: line 1: no left sentence has the line number '0'",
        ),
        (["evaluate", "retrieval", ENGLISH, "two"], "line i of one must translate line i of the other"),
        (["evaluate", "retrieval", "blank", "two"], "blank: line 2 is blank"),
        (["evaluate", "sts", "x.gold"], "x.gold: line 1: two sentences and a score are needed"),
        (["calibrate", "bitext", ENGLISH, GERMAN], "26 sentences are too few to tell true from false"),
        (["calibrate", "paraphrase", QUESTIONS], "50 sentences are too few"),
        (
            ["calibrate", "paraphrase", QUESTIONS, "--precision", "90"],
            "--precision is over 0 and at most 1, not 90",
        ),
        (["calibrate", "paraphrase", QUESTIONS, "--plot", "x.gif"], "x.gif: name it .png or .svg"),
        (["calibrate", "paraphrase", QUESTIONS, "--curve", "x.gif"], "x.gif: name it .tsv or .jsonl"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(run, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    files = {
        "x.en": "a\tOne.\nb\tTwo.\n", "x.gold": "a\tb\n", "bad.gold": "a\tzz\n",
        "twice": "a\tOne.\na\tTwo.\n", "empty": "", "scores": "a\tb\thigh\n", "zero": "0\t1\n",
        "two": "One.\nTwo.\n", "blank": "One.\n\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_picture_names_the_extra_where_matplotlib_is_missing(run, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, err = run("calibrate", "paraphrase", QUESTIONS, "--plot", "x.png")
    assert status == 2
    assert "a picture needs matplotlib: pip install 'matplotlib>=3.9'" in err


def test_files_and_gold_of_any_encoding(run, bucc, tmp_path):
    (source, target, gold), _, _ = bucc
    plain = run("evaluate", "bucc", source, target, gold, "--json")[1]
    for path, encoding in ((source, "utf-16"), (target, "utf-8"), (gold, "utf-32")):
        path.write_text(path.read_text(encoding="utf-8"), encoding=encoding, newline="")
    each = ["--encoding", "utf-16", "--encoding", "utf-8", "--encoding", "utf-32"]
    assert run("evaluate", "bucc", source, target, gold, "--json", *each)[:2] == (0, plain)
    mined = tmp_path / "mined.tsv"
    mined.write_text(gold.read_text(encoding="utf-32"), encoding="utf-16")
    options = ["--encoding", "utf-16", "--encoding", "utf-32", "--json"]
    status, out, _ = run("evaluate", "pairs", mined, gold, *options)
    assert (status, json.loads(out)["f1"]) == (0, 1)
    status, _, err = run("evaluate", "pairs", mined, gold, *options, "--encoding", "utf-8")
    assert (status, "--encoding is given 3 times" in err) == (2, True)


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_gold_has_the_encoding_of_its_file_or_one_of_its_own(run, tmp_path, command):
    questions, gold = tmp_path / "q.txt", tmp_path / "gold"
    questions.write_text(QUESTIONS.read_text(), encoding="utf-16")
    pairs = "1\t2\n3\t4\n"
    where = ["--gold", gold] if command == "calibrate" else [gold]
    gold.write_text(pairs)
    plain = run(command, "paraphrase", QUESTIONS, *where, "-q")
    assert plain[0] == 0
    own = ["--encoding", "utf-16", "--encoding", "utf-8"]
    assert run(command, "paraphrase", questions, *where, "-q", *own) == plain
    gold.write_text(pairs, encoding="utf-16")
    assert run(command, "paraphrase", questions, *where, "-q", "--encoding", "utf-16") == plain


def test_scored_pairs_of_any_encoding(run, tmp_path):
    rows = "Ein Hörsaal.,Ein Saal.,4\nEin Bär.,Ein Auto.,0\nEine Tür.,Ein Tor.,3\n"
    scored = tmp_path / "sts.csv"
    scored.write_text(rows)
    plain = run("evaluate", "sts", scored, "-q")
    scored.write_text(rows, encoding="latin-1")
    assert run("evaluate", "sts", scored, "-q", "--encoding", "latin-1") == plain
    assert plain[0] == 0
    status, _, err = run("evaluate", "sts", scored, "-q")
    assert (status, "name its encoding with --encoding" in err) == (2, True)
    assert run("evaluate", "sts", scored, "-q", "--errors", "replace")[0] == 0
