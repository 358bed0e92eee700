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

from lightmine.errors import BundleError, MissingExtraError, one_line
from lightmine.loading.bundle import MANIFEST, read_manifest
from lightmine.loading.layout import (
    BODY_FILES,
    MODULES,
    ROOT_FILES,
    choose_graph,
    model_files,
    read_entries,
)
from lightmine.loading.module_reader import WEIGHTED, WEIGHTS
from lightmine.untrusted.model_paths import is_inside
from lightmine.untrusted.onnx_header import read_graph

# Small files, of which every model has one, that tell what else is needed.
START = (MANIFEST, MODULES, "config.json")
FETCH_ELSEWHERE = (
    "fetch it where there is a network: lightmine pull OWNER/NAME -o FOLDER, and copy the folder"
)


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A hub model's files: the folder in the cache, the commit, and the names that were asked for."""

    folder: Path
    commit: str
    files: tuple[str, ...]


def fetch(
    repository: str,
    *,
    revision: str | None = None,
    file: str | None = None,
    progress: bool = True,
    unreachable: str = FETCH_ELSEWHERE,
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
    unreachable : str
        What a message says to do where the hub cannot be reached.

    Raises
    ------
    BundleError
        No such model, revision or file, no permission, or no network and not in the cache.
    MissingExtraError
        huggingface_hub is not installed.
    """
    hub = _client()
    with _explained(hub, repository, revision, unreachable):
        repo = _Repository(hub, repository, _bars(hub, progress))
        # Asked for by its revision, so that the cache knows the branch; all else is read at the commit that
        # the branch is now.
        folder = repo.snapshot(revision, START)
        commit = folder.name
        names = repo.names(folder)
        if MANIFEST in names:
            files = {MANIFEST, *(name for name in read_manifest(folder).files if is_inside(name))}
        else:
            entries = read_entries(folder)
            body = entries[0].path if entries else ""
            graph = choose_graph(names, folder=repository, file=file, body=body)
            files = {graph, *ROOT_FILES, *BODY_FILES, *(f"{body}/{name}" for name in BODY_FILES if body)}
            files |= {f"{entry.path}/config.json" for entry in entries[1:]}
            files |= {f"{entry.path}/{WEIGHTS}" for entry in entries[1:] if entry.kind in WEIGHTED}
            repo.snapshot(commit, {graph})
            # Graphs over 2 GB name the files that their weights are in.
            weights = read_graph(folder / graph).weight_files
            files |= {(Path(graph).parent / name).as_posix() for name in weights}
        files &= set(names)
        repo.snapshot(commit, files)
        return Fetched(folder, commit, tuple(sorted(files)))


@dataclasses.dataclass
class _Repository:
    """A hub's repository, or what the cache has of it where the hub cannot be reached."""

    hub: Any
    name: str
    bars: Any
    cached: bool = False

    def names(self, folder: Path) -> list[str]:
        """All files of a commit; from here on those of the cache where the hub cannot be asked."""
        try:
            found = self.hub.HfApi().model_info(self.name, revision=folder.name)
            return [file.rfilename for file in found.siblings or ()]
        except Exception as error:
            if not _is_unreachable(self.hub, error):
                raise
        self.cached = True
        return model_files(folder)

    def snapshot(self, revision: str | None, names: Iterable[str]) -> Path:
        """The folder that holds a commit, with at least these files in it."""
        found = self.hub.snapshot_download(
            self.name,
            revision=revision,
            allow_patterns=sorted(names),
            tqdm_class=self.bars,
            local_files_only=self.cached,
        )
        return Path(found)


def _client() -> Any:
    # Only where the user has not decided: otherwise it sends what else is installed, and looks for agents.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtraError.of("hub", f"a hub model needs huggingface_hub ({error})") from None
    return huggingface_hub


def _bars(hub: Any, progress: bool) -> Any:
    """The client's progress bar, kept off whatever is no terminal."""

    class Bars(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            off = options.pop("disable", False) or not progress or not sys.stderr.isatty()
            super().__init__(*given, disable=off, **options)

    return Bars


def _is_unreachable(hub: Any, error: BaseException) -> bool:
    # Its HTTP library has changed over the years; all of their connection errors say so by name.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, hub.errors.OfflineModeIsEnabled) or bool(
        kinds & {"ConnectError", "ConnectionError", "TimeoutException", "Timeout", "NetworkError"}
    )


@contextlib.contextmanager
def _explained(hub: Any, repository: str, revision: str | None, unreachable: str) -> Iterator[None]:
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
            f"reached; {unreachable}"
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
    return one_line((str(error).strip().splitlines() or [type(error).__name__])[0])
