"""No network: a hook of Python's own that refuses every address beyond this machine.

Python imports a module of this name when it starts, so the folder on PYTHONPATH takes the hook to whatever
processes a test starts. An audit hook cannot be taken off again, and no library goes around it in Python.
"""

import os
import sys

LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", ""}
tried = []


def install():
    sys.addaudithook(_refuse)


def _refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""  # others are of this machine: AF_UNIX
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0] or ""
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host not in LOCAL:
        tried.append(host)
        raise OSError(f"tests reach no network, and this reached for {host}")


if os.environ.get("LIGHTMINE_TESTS_OFFLINE") and __name__ == "sitecustomize":
    install()
