"""progress=: a function of the caller's, or a bar on stderr."""

import numpy as np
import pytest

from lightmine import mine_bitext, mine_paraphrases, neighbors, score_bitext
from lightmine.errors import ArgumentError
from lightmine.progress import Bar, open_progress

X = np.eye(8)
MINERS = {
    "neighbors": lambda progress: neighbors(X, progress=progress),
    "mine_paraphrases": lambda progress: mine_paraphrases(X, progress=progress),
    "mine_bitext": lambda progress: mine_bitext(X, X, progress=progress),
    "score_bitext": lambda progress: score_bitext(X, X, progress=progress),
}


@pytest.mark.parametrize("mine", MINERS.values(), ids=MINERS)
def test_true_shows_a_bar_on_stderr_and_changes_nothing(mine, capsys):
    plain = mine(None)
    assert capsys.readouterr() == ("", "")
    assert mine(True) == plain
    out, err = capsys.readouterr()
    assert out == ""
    assert "mining: " in err
    assert " pairs" in err


@pytest.mark.parametrize("mine", MINERS.values(), ids=MINERS)
def test_false_and_none_show_nothing_and_a_function_is_called(mine, capsys):
    calls = []
    plain = mine(False)
    assert mine(lambda done, total: calls.append((done, total))) == plain
    assert capsys.readouterr() == ("", "")
    assert calls[0][0] == 0
    assert calls[-1][0] == calls[-1][1] > 0


@pytest.mark.parametrize("mine", MINERS.values(), ids=MINERS)
@pytest.mark.parametrize("progress", ["yes", 1, 0])
def test_what_is_no_progress_is_refused(mine, progress):
    message = f"progress must be True, False, None or a function of two numbers, not {progress!r}"
    with pytest.raises(ArgumentError, match=message):
        mine(progress)


def test_the_bar_is_taken_away_after_an_error(monkeypatch):
    closed = []
    monkeypatch.setattr(Bar, "close", lambda bar: closed.append(bar.label))
    with pytest.raises(KeyboardInterrupt), open_progress(True, "encoding", " sentences"):
        raise KeyboardInterrupt
    assert closed == ["encoding"]


def test_a_bar_that_is_not_asked_for_stays_off_what_is_no_terminal(capsys):
    Bar("encoding", " sentences")(1, 2)
    assert capsys.readouterr().err == ""
