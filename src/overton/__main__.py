"""``python -m overton``: the command line."""

import sys

from overton.cli import main

if __name__ == "__main__":
    sys.exit(main())
