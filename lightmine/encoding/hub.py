"""Models from a hub, through huggingface_hub: only the files that are needed, at one commit.

The client is imported when a hub model is named and never before. Its environment variables mean what
they always mean: HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, HF_HOME and HF_HUB_CACHE.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightmine.encoding.bundle import MANIFEST, read_manifest
from lightmine.encoding.chain import WEIGHTED, WEIGHTS
from lightmine.encoding.directory import (
    BODY_FILES,
    MODULES,
    ROOT_FILES,
    choose_graph,
    is_inside,
    model_files,
    read_entries,
)
from lightmine.encoding.graph import read_graph
from lightmine.errors import BundleError, MissingExtraError


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A hub model's files: the folder in the cache, the commit, and the names that were asked for."""

    folder: Path
    commit: str
    files: tuple[str, ...]


def fetch(
    repository: str, *, revision: str | None = None, file: str | None = None, progress: bool = True
) -> Fetched:
    """Fetch what is needed to run a model; what the cache has is not fetched again.

    Parameters
    ----------
    repository : str
        ``owner/name``
    revision : str, optional
        A branch, a tag or a commit; by default the main branch.
    file : str, optional
        Which ONNX file, where there are several.
    progress : bool
        Whether the client may draw its bars; it does on a terminal alone.

    Raises
    ------
    BundleError
        No such model, revision or file, no permission, or no network and not in the cache.
    MissingExtraError
        huggingface_hub is not installed.
    """
    hub = _client()
    bars = _bars(hub, progress)
    with _explained(hub, repository, revision):
        # The commit is settled once; all else is read at it, whatever happens to the branch meanwhile.
        folder = _snapshot(hub, repository, revision, [MANIFEST, MODULES], bars)
        commit = folder.name
        names = _listing(hub, repository, folder)
        if MANIFEST in names:
            files = [MANIFEST, *(name for name in read_manifest(folder).files if is_inside(name))]
            _snapshot(hub, repository, commit, files, bars)
            return Fetched(folder, commit, tuple(files))
        entries = read_entries(folder)
        body = entries[0].path if entries else ""
        graph = choose_graph(names, folder=repository, file=file, body=body)
        wanted = {graph, *ROOT_FILES, *BODY_FILES, *(f"{body}/{name}" for name in BODY_FILES if body)}
        wanted |= {f"{entry.path}/config.json" for entry in entries[1:]}
        wanted |= {f"{entry.path}/{WEIGHTS}" for entry in entries[1:] if entry.kind in WEIGHTED}
        _snapshot(hub, repository, commit, wanted & set(names), bars)
        # Graphs over 2 GB name the files that their weights are in.
        beside = Path(graph).parent
        weights = {(beside / name).as_posix() for name in read_graph(folder / graph).weight_files}
        if weights:
            _snapshot(hub, repository, commit, weights & set(names), bars)
        return Fetched(folder, commit, tuple(sorted((wanted | weights) & set(names))))


def _client() -> Any:
    # Only where the user has not decided: otherwise it sends what else is installed, and looks for agents.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtraError(
            f"a hub model needs huggingface_hub ({error}): pip install 'lightmine[hub]'"
        ) from None
    return huggingface_hub


def _bars(hub: Any, progress: bool) -> Any:
    """The client's progress bar, kept off whatever is no terminal."""

    class Bars(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            off = options.pop("disable", False) or not progress or not sys.stderr.isatty()
            super().__init__(*given, disable=off, **options)

    return Bars


def _snapshot(hub: Any, repository: str, revision: str | None, names: Iterable[str], bars: Any) -> Path:
    found = hub.snapshot_download(
        repository, revision=revision, allow_patterns=sorted(names), tqdm_class=bars
    )
    return Path(found)


def _listing(hub: Any, repository: str, folder: Path) -> list[str]:
    """The repository's files at the commit; where the hub cannot be asked, those that the cache has."""
    try:
        return list(hub.HfApi().list_repo_files(repository, revision=folder.name))
    except Exception as error:
        if not _is_unreachable(hub, error):
            raise
        return model_files(folder)


def _is_unreachable(hub: Any, error: BaseException) -> bool:
    # Its HTTP library has changed over the years; all of their connection errors say so by name.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, hub.errors.OfflineModeIsEnabled) or bool(
        kinds & {"ConnectError", "ConnectionError", "TimeoutException", "Timeout", "NetworkError"}
    )


@contextlib.contextmanager
def _explained(hub: Any, repository: str, revision: str | None) -> Iterator[None]:
    """Whatever the client raises, as one line that says what to do."""
    errors = hub.errors
    try:
        yield
    except BundleError:
        raise
    except errors.GatedRepoError:
        what = "is gated; accept its terms on the hub and set HF_TOKEN to a token of yours"
    except errors.RepositoryNotFoundError:
        what = "no such folder, and no such model on the hub for you; check the name, or set HF_TOKEN"
    except errors.RevisionNotFoundError:
        what = f"has no revision {revision}"
    except errors.LocalEntryNotFoundError:
        what = (
            f"no such folder, not in the hub's cache ({hub.constants.HF_HUB_CACHE}), and the hub cannot be "
            "reached; fetch it where there is a network: lightmine pull"
        )
    except errors.HfHubHTTPError as error:
        what = f"cannot be fetched: {_first_line(error)}"
    except OSError as error:
        what = f"cannot be fetched to {hub.constants.HF_HUB_CACHE}: {error.strerror or _first_line(error)}"
    except Exception as error:  # the HTTP library's own, and names that the client finds invalid
        what = f"cannot be fetched: {type(error).__name__}: {_first_line(error)}"
    else:
        return
    raise BundleError(f"{repository}: {what}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
