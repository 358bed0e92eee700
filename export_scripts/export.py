"""Export a model to a bundle: ``python -m export_scripts.export MODEL OUT``, the same as ``lightmine export``."""

import sys

from lightmine.export.export import main

if __name__ == "__main__":
    sys.exit(main())
