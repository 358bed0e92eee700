"""Contract 7: no network, no telemetry, and nothing written but what was asked for."""

import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.offline import sitecustomize as offline

QUESTIONS = Path(__file__).parents[1] / "examples/questions.txt"

# Runs the command line and tells, on descriptor 3, all that Python saw it write, connect and start, and what
# sockets there were at the end, whoever opened them: ONNX Runtime's telemetry is not Python.
WATCH = r"""
import json, os, sys
seen = []
def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if flags else set(mode or "") & set("wax+")
        if writes and str(path) != "/dev/null":
            seen.append([event, str(path)])
    elif event.startswith(("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.fork", "os.system")):
        seen.append([event, repr(arguments[1:])])
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.truncate"):
        seen.append([event, str(arguments[0])])
sys.addaudithook(hook)
sys.argv = ["lightmine", *sys.argv[1:]]
from lightmine.cli import main
try:
    main()
finally:
    seen = list(seen)
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the folder's own
            pass
    sockets = [link for link in links if link.startswith("socket:")]
    os.write(3, json.dumps([seen, sockets]).encode())
"""


# ONNX Runtime's telemetry keeps still where one of these says that a build service runs it (its library names
# them): a watch there would prove nothing.
BUILD_SERVICES = {
    "CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL",
    "CODEBUILD_BUILD_ID", "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR", "BITBUCKET_BUILD_NUMBER",
}  # fmt: skip


def places(tmp_path):
    """An environment whose every usual place to leave something is in a folder of its own."""
    names = {name: tmp_path / name for name in ("home", "cache", "config", "data", "state", "tmp", "run")}
    for folder in names.values():
        folder.mkdir()
    environment = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("ORT_", "XDG_")) and name not in BUILD_SERVICES
    }  # fmt: skip
    return environment | {
        "HOME": str(names["home"]), "XDG_CACHE_HOME": str(names["cache"]),
        "XDG_CONFIG_HOME": str(names["config"]), "XDG_DATA_HOME": str(names["data"]),
        "XDG_STATE_HOME": str(names["state"]), "XDG_RUNTIME_DIR": str(names["run"]),
        "TMPDIR": str(names["tmp"]), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


def left(tmp_path):
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir())


def watched(tmp_path, *arguments, **environment):
    reader, writer = os.pipe()
    command = [sys.executable, "-c", "import os,sys;os.dup2(int(sys.argv.pop(1)),3);" + WATCH, str(writer)]
    done = subprocess.run(
        [*command, *map(str, arguments)], env=places(tmp_path) | environment, cwd=tmp_path,
        pass_fds=[writer], capture_output=True, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    with os.fdopen(reader) as stream:
        told = stream.read()
    assert done.returncode == 0, done.stderr
    return json.loads(told)


def runs(tmp_path):
    return ["paraphrase", QUESTIONS, "--threshold", "0.6", "-o", tmp_path / "out.tsv"]


def test_a_run_writes_its_output_alone_and_opens_no_socket(tmp_path):
    seen, sockets = watched(tmp_path, *runs(tmp_path))
    assert left(tmp_path) == ["out.tsv"]
    assert sockets == []
    # threadpoolctl before 3.6 asks where the C library is.
    seen = [found for found in seen if "/sbin/ldconfig" not in found[1]]
    assert [event for event, _ in seen] == ["open", "os.rename", "os.remove"], seen
    assert all(re.fullmatch(r".*/\.out\.tsv\.\d+-[0-9a-f]+\.part", path) for _, path in seen), seen


def test_the_watch_sees_what_it_watches_for(tmp_path):
    # The user may want ONNX Runtime's telemetry: then it leaves an identity, and the test above would fail.
    version = tuple(map(int, importlib.metadata.version("onnxruntime").split(".")[:2]))
    watched(tmp_path, *runs(tmp_path), ORT_DISABLE_TELEMETRY="0")
    assert ("cache" in "".join(left(tmp_path))) == (version >= (1, 29)), left(tmp_path)


def test_python_that_reaches_out_is_seen(tmp_path):
    code = WATCH.replace(
        "from lightmine.cli import main",
        """
import socket, subprocess
def main():
    open("stray.txt", "w").close()
    kept.append(socket.create_server(("127.0.0.1", 0)))
    subprocess.run(["true"])
kept = []""",
    )
    reader, writer = os.pipe()
    subprocess.run(
        [sys.executable, "-c", "import os,sys;os.dup2(int(sys.argv.pop(1)),3);" + code, str(writer)],
        pass_fds=[writer], cwd=tmp_path, check=True,
    )  # fmt: skip
    os.close(writer)
    with os.fdopen(reader) as stream:
        seen, sockets = json.load(stream)
    events = [event for event, _ in seen]
    assert {"open", "socket.bind", "subprocess.Popen"} <= set(events)
    assert len(sockets) == 1
    assert left(tmp_path) == ["stray.txt"]


@pytest.mark.skipif(
    not shutil.which("strace"), reason="strace is not installed; the tests above watch without"
)
def test_the_kernel_saw_no_socket_and_no_other_file(tmp_path):
    calls = "%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
    log = tmp_path / "strace.log"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}", sys.executable, "-m", "lightmine",
         *map(str, runs(tmp_path))],
        env=places(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr and not log.stat().st_size:
        pytest.skip("this container lets nobody trace a process; the tests above watch without")
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines() if " " in line]
    assert any(line.startswith("openat(") for line in lines)
    network = [line for line in lines if re.match(r"(socket|connect|bind|send|recv|accept|listen)", line)]
    assert network == []
    changes = [
        line for line in lines
        if (re.search(r"O_WRONLY|O_RDWR|O_CREAT", line) and "/dev/null" not in line)
        or re.match(r"(creat|mkdir|rename|link|symlink)", line)
    ]  # fmt: skip
    assert len(changes) == 2, changes
    assert all(f"{tmp_path}/.out.tsv." in line for line in changes), changes


# --- the tests themselves


def test_no_test_reaches_the_network():
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for reach in (
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
        lambda: socket.getaddrinfo("example.org", 80),
        lambda: datagram.sendto(b"", ("192.0.2.1", 9)),
    ):
        with pytest.raises(OSError, match="tests reach no network, and this reached for "):
            reach()
    datagram.close()
    offline.tried.clear()
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_no_process_that_a_test_starts_does_either():
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "tests reach no network, and this reached for 192.0.2.1" in done.stderr
