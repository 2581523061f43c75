"""Starts the conformance test: `scripts/conformance --help`."""

import sys

from conformity.cli import main

if __name__ == "__main__":
    sys.exit(main())
