"""Run the notebooks of examples/python, and write their outputs into them: python -m tests.notebooks."""

import sys
import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples/python"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def executed(path):
    """The notebook after a run from its own folder, in a process of its own."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=120, record_timing=False,
        coalesce_streams=True,  # where a text is cut into messages depends on the load
        extra_arguments=["--IPKernelApp.log_level=40"],  # not that its sockets are on this machine's TCP
        resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    with warnings.catch_warnings():
        if sys.platform == "win32":
            # pyzmq wants another event loop there, and uses it by itself.
            warnings.filterwarnings("ignore", message="Proactor event loop", category=RuntimeWarning)
        return client.execute()


def main():
    for path in NOTEBOOKS:
        notebook = executed(path)
        # What ran it is of no interest, and would change with every machine.
        notebook.metadata.language_info = {"name": "python"}
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main()
