"""``python -m lightmine.export``: what ``lightmine export`` runs, in a process of its own."""

import sys

from lightmine.export.command import main

if __name__ == "__main__":
    sys.exit(main())
