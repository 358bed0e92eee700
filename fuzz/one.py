"""One target under atheris, in a process of its own: ``python -m fuzz.one TARGET [options of libFuzzer]``."""

import importlib
import sys

import atheris


def main():
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["lightmine"]):
        target = importlib.import_module(f"fuzz.targets.{name}")
    atheris.Setup(sys.argv, target.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
