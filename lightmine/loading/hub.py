"""Fetch models from a hub through huggingface_hub: only the files that are needed, at one commit.

The client is imported only when a hub model is named. Its environment variables have their usual
meaning: HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN, HF_HOME and HF_HUB_CACHE.
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
from lightmine.loading.layout import MODULES, choose_graph, model_files, needed_files, read_module_list
from lightmine.untrusted.model_paths import is_inside
from lightmine.untrusted.onnx_header import read_graph

# Small files that tell which others are needed; every model has one of them.
START = (MANIFEST, MODULES, "config.json")
FETCH_ELSEWHERE = (
    "fetch it where there is a network: lightmine pull OWNER/NAME -o FOLDER, and copy the folder"
)


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A hub model's files: its folder in the cache, its commit, and the names of the files."""

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
    """Fetch the files that are needed to run a model; those in the cache are not fetched again.

    Parameters
    ----------
    repository : str
        ``owner/name``
    revision : str, optional
        A branch, a tag or a commit; by default the main branch.
    file : str, optional
        The ONNX file to run, if there are several.
    progress : bool
        Whether the client may show its bars; it shows them on a terminal only.
    unreachable : str
        What to do if the hub cannot be reached, for the error message.

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
        # By its revision, so that the cache knows the branch; all other files by the commit of the branch.
        folder = repo.snapshot(revision, START)
        commit = folder.name
        names = repo.names(folder)
        if MANIFEST in names:
            files = {MANIFEST, *(name for name in read_manifest(folder).files if is_inside(name))}
        else:
            module_list = read_module_list(folder)
            inner = module_list[0].path if module_list else ""
            graph = choose_graph(names, folder=repository, file=file, inner=inner)
            repo.snapshot(commit, {graph})
            # Graphs over 2 GB name the files of their weights.
            weights = read_graph(folder / graph).weight_files
            files = {graph, *needed_files(module_list)}
            files |= {(Path(graph).parent / name).as_posix() for name in weights}
        files &= set(names)
        repo.snapshot(commit, files)
        return Fetched(folder, commit, tuple(sorted(files)))


@dataclasses.dataclass
class _Repository:
    """A hub's repository, or the part of it in the cache if the hub cannot be reached."""

    hub: Any
    name: str
    bars: Any
    cached: bool = False

    def names(self, folder: Path) -> list[str]:
        """All files of a commit; if the hub cannot be reached, only the cache is used from now on."""
        try:
            found = self.hub.HfApi().model_info(self.name, revision=folder.name)
            return [file.rfilename for file in found.siblings or ()]
        except Exception as error:
            if not _is_unreachable(self.hub, error):
                raise
        self.cached = True
        return model_files(folder)

    def snapshot(self, revision: str | None, names: Iterable[str]) -> Path:
        """The folder of a commit, with at least these files in it."""
        found = self.hub.snapshot_download(
            self.name,
            revision=revision,
            allow_patterns=sorted(names),
            tqdm_class=self.bars,
            local_files_only=self.cached,
        )
        return Path(found)


def _client() -> Any:
    # Unless the user has set it. With telemetry on, it reports which other packages are installed.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtraError.of("hub", f"a hub model needs huggingface_hub ({error})") from None
    return huggingface_hub


def _bars(hub: Any, progress: bool) -> Any:
    """The client's progress bar, which shows on a terminal only."""

    class Bars(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            off = options.pop("disable", False) or not progress or not sys.stderr.isatty()
            super().__init__(*given, disable=off, **options)

    return Bars


def _is_unreachable(hub: Any, error: BaseException) -> bool:
    # The client has used several HTTP libraries; the names of their connection errors are listed here.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, hub.errors.OfflineModeIsEnabled) or bool(
        kinds & {"ConnectError", "ConnectionError", "TimeoutException", "Timeout", "NetworkError"}
    )


@contextlib.contextmanager
def _explained(hub: Any, repository: str, revision: str | None, unreachable: str) -> Iterator[None]:
    """Turn the client's errors into one line that says what to do."""
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
