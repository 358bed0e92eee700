"""Licences of all packages of an environment, against a list of those that may be there.

    build/runtime/bin/python supply/licences.py
    build/runtime/bin/python supply/licences.py --pins

Run by the environment's own Python; needs nothing but the standard library. Exit status 1, and the packages
by name, where a licence is not on the list or nobody said which it is.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys

# SPDX identifiers. Permissive ones; MPL-2.0 too, whose terms are about its own files.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "HPND", "ISC", "MIT", "MIT-CMU",
    "MPL-2.0", "PSF-2.0", "Zlib",
}  # fmt: skip
# What packages write that state no SPDX expression.
WORDS = {
    "apache": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0", "bsd": "BSD-3-Clause", "bsd license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "mit license": "MIT", "isc license (iscl)": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "psf": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "historical permission notice and disclaimer (hpnd)": "HPND",
}  # fmt: skip


def licences(package: importlib.metadata.Distribution) -> set[str]:
    """The licences that a package states, as SPDX identifiers where they are known.

    Examples
    --------
    >>> parts("BSD-3-Clause AND (MIT OR Zlib)") == {"BSD-3-Clause", "MIT", "Zlib"}
    True
    """
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return parts(expression)
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    stated = [line.rsplit(" :: ", 1)[-1] for line in classifiers]
    text = (metadata.get("License") or "").strip()
    stated = [word for word in stated if word != "OSI Approved"] or (text.splitlines()[:1] if text else [])
    known = [WORDS.get(each.lower(), each) for each in stated]
    return {word for each in known for word in parts(each)}


def parts(expression: str) -> set[str]:
    """The identifiers in an SPDX expression."""
    words = re.split(r"\s+(?:AND|OR)\s+|[()]", expression)
    return {word.strip() for word in words if word.strip()}


def main() -> None:
    if sys.argv[1:] == ["--pins"]:  # all that is installed beside lightmine, as pip reads it
        for package in sorted(importlib.metadata.distributions(), key=lambda package: package.name.lower()):
            if package.name != "lightmine":
                print(f"{package.name}=={package.version}")
        return
    found = {package.name: licences(package) for package in importlib.metadata.distributions()}
    wrong = 0
    for name, stated in sorted(found.items(), key=lambda entry: entry[0].lower()):
        odd = stated - ALLOWED
        wrong += bool(odd) or not stated
        mark = " <- not on the list" if odd else "" if stated else " <- states none"
        print(f"{name:24} {', '.join(sorted(stated))}{mark}")
    if wrong:
        sys.exit(
            f"{wrong} packages with a licence that is not on the list: read it, then see supply/licences.py"
        )


if __name__ == "__main__":
    main()
