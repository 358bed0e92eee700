"""Measure a bundle against its source: ``python -m export_scripts.verify BUNDLE --against MODEL``."""

import sys

from lightmine.export.verify import main

if __name__ == "__main__":
    sys.exit(main())
