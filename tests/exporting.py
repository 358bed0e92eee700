"""What the exporter's tests share."""

import json

from lightmine.export.command import main
from tests.conftest import SHORT as SHORT


def refused(capsys, *arguments, code=2):
    """The one line that the command prints when it fails with `code`."""
    assert main([str(argument) for argument in arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    last = printed.err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def edit(path, change):
    settings = json.loads(path.read_text(encoding="utf-8"))
    change(settings)
    path.write_text(json.dumps(settings), encoding="utf-8")


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())
