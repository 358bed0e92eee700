"""Export a model to a bundle: ``python -m export_scripts.export MODEL OUT``, as ``lightmine export`` does."""

import sys

from lightmine.export.command import main

if __name__ == "__main__":
    sys.exit(main())
