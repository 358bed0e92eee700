"""``lightmine evaluate paraphrase``."""

from __future__ import annotations

import click
import numpy as np

from lightmine import evaluation as measures
from lightmine.cli._command import command, option
from lightmine.cli._evaluation import EvaluationOptions, evaluation_run_options, rows_by_gold_name
from lightmine.cli._inputs import InputOptions, read_nonempty, reading_options, refuse_two_stdin
from lightmine.cli._options import count_from_option, max_pairs_option, top_k_option
from lightmine.io.gold import read_gold
from lightmine.paraphrase import mine_paraphrases


@command()
@click.argument("file")
@click.argument("gold")
@reading_options
@count_from_option
@option("Gold", "--closure", is_flag=True, help="Count paraphrases of paraphrases as gold, too.")
@top_k_option
@max_pairs_option
@evaluation_run_options
def paraphrase(
    file: str,
    gold: str,
    inputs: InputOptions,
    count_from: int,
    closure: bool,
    top_k: int,
    max_pairs: int,
    run: EvaluationOptions,
) -> None:
    """Mine paraphrases and compare them with gold.

    FILE has one sentence a line. GOLD has line number TAB line number a line, or id TAB id.

    Prints average precision, and precision, recall and F1 at the threshold with the best F1, as
    ParaphraseMiningEvaluator of sentence-transformers defines them: every line is a sentence of its own.
    Pairs of equal score are taken together.

    \b
    Example:
      lightmine evaluate paraphrase questions.txt duplicates.tsv
    """
    refuse_two_stdin(file, gold)
    of_file, of_gold = inputs.readings(1, gold=True)
    sentences = read_nonempty(file, of_file)
    rows = rows_by_gold_name(sentences, count_from)
    what = "line number" if sentences.ids is None else "id"
    true = np.array(run.gold(read_gold(gold, rows, rows, what=what, reading=of_gold)))
    vectors = run.encode_all(run.encoder(), sentences.texts, sentences.lines, sentences.name)
    found = mine_paraphrases(vectors, top_k=top_k, max_pairs=max_pairs, **run.engine)
    if len(found) == max_pairs:
        run.note(
            f"--max-pairs {max_pairs:,} was reached: pairs beyond count as missed; raise it to have them"
        )
    true = measures.transitive_closure(true) if closure else true
    quality = measures.paraphrase_mining(found.left, found.right, found.score, true)
    run.show(quality, mined=len(found), gold=len(np.unique(np.sort(true, axis=1), axis=0)))
