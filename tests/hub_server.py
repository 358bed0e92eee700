"""A model hub on this machine: the routes that huggingface_hub asks, over repositories in memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Hub:
    """Repositories by name, each with commits by revision; remembers what was asked, and with which token."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.revisions: dict[tuple[str, str], str] = {}
        self.private: dict[str, str] = {}
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.stored: dict[str, tuple[str, bytes]] = {}
        self.url = ""

    def add(self, name: str, folder: Path, *, revision: str = "main") -> str:
        """Publish a folder's files as a commit that a revision points to."""
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        digest = hashlib.sha1(name.encode())
        for path in sorted(files):
            digest.update(path.encode() + b"\0" + files[path])
        commit = digest.hexdigest()
        self.files[name, commit] = files
        self.revisions[name, revision] = self.revisions[name, commit] = commit
        return commit

    def downloaded(self) -> list[str]:
        """Paths of the files whose content was fetched, in order."""
        found = [path for method, path in self.asked if method == "GET"]
        names = [path.split("/resolve/")[1].split("/", 1)[1] for path in found if "/resolve/" in path]
        return names + [self.stored[path.split("/")[2]][0] for path in found if path.startswith("/storage/")]

    @contextlib.contextmanager
    def serving(self):
        hub = self

        class Routes(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                hub._answer(self, body=False)

            def do_GET(self):
                hub._answer(self, body=True)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Routes)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def _answer(self, request, *, body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        self.asked.append((request.command, path))
        token = request.headers.get("Authorization")
        self.tokens.add(token)
        parts = path.strip("/").split("/")
        if parts[:1] == ["storage"]:
            self._storage(request, parts[1], body=body)
            return
        listing = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if listing else parts[:2])
        rest = parts[4:] if listing else parts[2:]
        if not any(known == name for known, _ in self.files) or (
            self.private.get(name) and token != f"Bearer {self.private[name]}"
        ):
            _send(request, 401, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif name in self.gated and not listing:
            _send(request, 403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
        else:
            revision = rest[1] if len(rest) > 1 else "main"
            commit = self.revisions.get((name, revision))
            if commit is None:
                _send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
            elif listing:
                self._list(request, name, commit, rest[0] if rest else "revision", body=body)
            else:
                self._resolve(request, name, commit, "/".join(rest[2:]), body=body)

    def _list(self, request, name, commit, what, *, body):
        files = self.files[name, commit]
        if what == "tree":
            found = [
                {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for path, data in files.items()
            ]
        else:
            siblings = [{"rfilename": path} for path in files]
            found = {
                "id": name,
                "modelId": name,
                "sha": commit,
                "siblings": siblings,
                "private": False,
                "tags": [],
            }
        _send(request, 200, json.dumps(found).encode(), {"Content-Type": "application/json"}, body=body)

    def _resolve(self, request, name, commit, path, *, body):
        data = self.files[name, commit].get(path)
        if data is None:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
            _send(request, 404, b"{}", headers, body=body)
        elif path.endswith((".onnx", ".onnx_data", ".safetensors")):
            # Large files lie in a storage of their own, which a redirect leads to.
            key = hashlib.sha256(data).hexdigest()
            self.stored[key] = path, data
            headers = {
                "X-Repo-Commit": commit, "X-Linked-Etag": f'"{key}"', "X-Linked-Size": str(len(data)),
                "Location": f"{self.url.replace('127.0.0.1', 'localhost')}/storage/{key}",
            }  # fmt: skip
            _send(request, 302, b"", headers, body=body)
        else:
            headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
            _send(request, 200, data, headers, body=body)

    def _storage(self, request, key, *, body):
        _send(request, 200, self.stored[key][1], {"ETag": f'"{key}"'}, body=body)


def _send(request, status: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if body:
        request.wfile.write(data)
