"""Starts the long proofs: `scripts/soak --help`."""

import sys

from soaking.cli import main

if __name__ == "__main__":
    sys.exit(main())
