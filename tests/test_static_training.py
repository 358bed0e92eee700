"""Training of the static model on a few sentences made up: what it promises, not how good it is."""

import gzip
import itertools

import numpy as np
import pytest

from export_scripts import train_static
from export_scripts.static_pairs import Groups, Settings, batches, hold_out, pivoted, read_pairs
from lightmine import Encoder
from lightmine import evaluation as evaluate
from lightmine.loading.bundle import read_manifest

pytestmark = pytest.mark.torch

NOUNS = [
    "dog", "cat", "house", "tree", "river", "stone", "bird", "road", "child", "bread", "ship", "lamp",
]  # fmt: skip
VERBS = ["sees", "finds", "paints", "moves", "wants", "loses", "sells", "hides", "likes", "holds"]
OPTIONS = {
    "languages": "de fr", "sources": "tatoeba=1 massive=0.5", "pieces": 700, "dimension": 16, "epochs": 6,
    "batch": 64, "held_out": 40, "levels": 127, "words": 0, "vocabulary": 0, "hard": 0.0, "rare": 1,
}  # fmt: skip


def spoken(words, language):
    return " ".join(language + word[::-1] for word in words)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """English of three words, and languages that say every word backwards behind letters of their own."""
    folder = tmp_path_factory.mktemp("data")
    sentences = list(itertools.product(NOUNS, VERBS, NOUNS))
    order = np.random.default_rng(0).permutation(len(sentences))
    parts = {"tatoeba": order[:700], "massive": order[700:1000], "hf_course": order[1000:1100]}
    for source, rows in parts.items():
        for language in ("de", "fr"):
            path = folder / "train" / source / f"en-{language}.tsv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(path, "wt", encoding="utf-8") as file:
                for row in rows:
                    foreign = spoken(sentences[row], language)
                    file.write(" ".join(sentences[row]) + "\t" + foreign + "\n")
                    if row % 4 == 0:  # a paraphrase
                        file.write("so " + " ".join(sentences[row]) + "\t" + foreign + "\n")
    return folder


def command(data, out, work, **changed):
    options = OPTIONS | changed
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return ["--data", str(data), "--out", str(out), "--work", str(work), "--threads", "1", *flags]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train_static.main(command(data, folder / "bundle", folder / "work"))
    return folder / "bundle"


def test_a_trained_bundle_finds_translations(data, trained):
    encoder = Encoder.load(str(trained))
    with gzip.open(data / "train/hf_course/en-de.tsv.gz", "rt", encoding="utf-8") as lines:
        english, german = zip(*(line.rstrip("\n").split("\t") for line in lines), strict=True)
    accuracy = evaluate.retrieval_accuracy(encoder.encode(german), encoder.encode(english))
    assert accuracy.source_to_target > 0.5  # chance is 0.01; word order is not seen


def test_the_manifest_says_languages_licences_and_thresholds(trained):
    manifest = read_manifest(trained)
    assert manifest.languages == ("en", "de", "fr")
    assert "tatoeba.org" in manifest.licence
    assert "Amazon" in manifest.licence
    assert "Godot" not in manifest.licence  # not trained on
    assert set(manifest.thresholds) == {"bitext", "bitext_cosine", "paraphrase"}
    assert manifest.parity["cosine_min"] > 0.999


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(data, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(train_static, "EVERY", 10)
    save, saved = train_static._save, []

    def stop_after_two(path, state):
        save(path, state)
        saved.append(state["step"])
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train_static, "_save", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        train_static.main(command(data, tmp_path / "bundle", tmp_path / "work"))
    train_static.main(command(data, tmp_path / "bundle", tmp_path / "work"))
    assert saved[:3] == [10, 20, 30]
    files = read_manifest(trained).files
    assert set(files) == {"model.onnx", "model.onnx.data", "tokenizer.json", "vocab.txt"}
    assert read_manifest(tmp_path / "bundle").files == files
    # Once more, into the same folder.
    train_static.main(command(data, tmp_path / "bundle", tmp_path / "work"))
    assert read_manifest(tmp_path / "bundle").files == files


# --- pairs


@pytest.fixture(scope="module")
def pairs(data):
    return read_pairs(data, Settings(**OPTIONS))


def test_no_pairs_are_said_so(data):
    with pytest.raises(SystemExit, match=r"nowhere/train: no pairs of de fr; --data names the folder around"):
        read_pairs(data / "nowhere", Settings(**OPTIONS))


def sentences(pairs):
    return set(pairs.english) | set(pairs.other)


def test_what_is_held_out_shares_no_sentence_with_what_is_learnt(pairs):
    learnt, outside = pairs
    train, held, siblings = hold_out(learnt, Settings(**OPTIONS))
    assert not sentences(train) & sentences(held)
    assert not sentences(learnt) & sentences(outside)
    assert len(train.english) + len(held.english) + len(siblings.english) == len(learnt.english)
    assert np.bincount(held.language).tolist() == [40, 40]


def test_an_epoch_sees_every_pair_of_a_source_of_weight_one_and_about_half_of_the_other(pairs):
    settings = Settings(**OPTIONS)
    seen = np.bincount(np.concatenate(batches(pairs[0], settings, 0, None)), minlength=len(pairs[0].english))
    often = pairs[0].source == 0
    # the last batch of a kind is dropped where it is small
    assert (seen[often] > 0).mean() > 0.9
    assert 0.35 < (seen[~often] > 0).mean() < 0.65
    assert seen.max() == 1


def test_neighbours_stand_beside_their_pair(pairs):
    near = (np.arange(len(pairs[0].english))[:, None] + 1) % len(pairs[0].english)
    settings = Settings(**OPTIONS | {"hard": 0.5, "one_language": 1.0})
    for batch in batches(pairs[0], settings, 0, near):
        assert (batch[1::2] == near[batch[::2], 0]).all()


def test_a_pivot_is_another_translation_of_the_same_sentence(pairs):
    learnt = pairs[0]
    groups = Groups.of(learnt)
    got = pivoted(learnt, groups, np.random.default_rng(0), 1.0)
    said = set(zip(learnt.other.tolist(), learnt.english.tolist(), strict=True))
    moved = got.left != got.english
    assert 0.3 < moved.mean() < 0.7  # one of the two others is the pair's own, which stays English
    assert said.issuperset(zip(got.left[moved].tolist(), got.english[moved].tolist(), strict=True))
    assert not (got.left == got.other).any()


def test_a_teacher_is_followed(data, trained, tmp_path):
    """Taught by another model, the student's similarities of English are nearer to that one's."""
    pairs, _ = read_pairs(data, Settings(**OPTIONS))
    english = [pairs.texts[number] for number in np.unique(pairs.english)][:200]
    wanted = Encoder.load(str(trained)).encode(english)
    likeness = {}
    for name, weights in {"untaught": (0, 0), "similarities": (70, 0), "vectors": (0, 10)}.items():
        distillation, view = weights
        options = {"seed": 1, "words": 8, "distillation": float(distillation), "view": float(view)}
        flags = command(data, tmp_path / name, tmp_path / "work", **options)
        train_static.main([*flags, "--teacher", str(trained)])
        got = Encoder.load(str(tmp_path / name)).encode(english)
        likeness[name] = np.corrcoef((got @ got.T).ravel(), (wanted @ wanted.T).ravel())[0, 1]
    assert likeness["similarities"] > likeness["untaught"] + 0.02
    assert likeness["vectors"] > likeness["untaught"] + 0.02
    assert "mean squared distance" in read_manifest(tmp_path / "vectors").recipe
