"""`python -m datafye_trio` is the command `datafye-trio`."""

import sys

from datafye_trio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
