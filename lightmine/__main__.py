"""``python -m lightmine``."""

from lightmine.cli import main

if __name__ == "__main__":
    main()
