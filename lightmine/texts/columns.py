"""Sentences from columns: lines that hold more than a sentence, such as BUCC's id TAB sentence."""

from __future__ import annotations

import dataclasses

from lightmine.errors import TextError
from lightmine.texts.lines import Sentences


def split_columns(sentences: Sentences, *, id_column: int | None, text_column: int | None) -> Sentences:
    r"""Take the sentence, and its id, from tab-separated columns, counted from 1.

    With an id column alone a line is an id and a sentence: what is not the id is the sentence, tabs and
    all (the first column, or the last, is the id). With a text column, a column is what stands between two
    tabs. A line whose sentence is blank is left out as a blank line is.

    Raises
    ------
    TextError
        A line has no such column; the message names file and line.

    Examples
    --------
    >>> lines = Sentences("x.de", ["de-1\tJa.", "de-2\tNein."], [1, 2], 2)
    >>> split = split_columns(lines, id_column=1, text_column=None)
    >>> split.texts, split.ids
    (['Ja.', 'Nein.'], ['de-1', 'de-2'])
    """
    if id_column is None and text_column is None:
        return sentences
    texts, ids = [], []
    for text, line in zip(sentences.texts, sentences.lines, strict=True):
        fields = _fields(text, id_column, text_column)
        last = max(id_column or 1, text_column or 2)
        if len(fields) < last:
            what = (
                "an id, a tab and a sentence are needed"
                if text_column is None
                else f"column {last} is needed"
            )
            found = "no tab" if "\t" not in text else f"{len(fields)} columns"
            raise TextError(f"{sentences.name}: line {line} has {found}; {what}")
        place = (id_column or 0) - 1
        texts.append(fields[text_column - 1] if text_column else fields[1 - place])
        ids.append(fields[place])
    split = dataclasses.replace(sentences, texts=texts, ids=None if id_column is None else ids)
    return split.take([at for at, text in enumerate(texts) if text.strip()])


def _fields(text: str, id_column: int | None, text_column: int | None) -> list[str]:
    if text_column is not None:
        return text.split("\t")
    return text.split("\t", 1) if id_column == 1 else text.rsplit("\t", 1)
