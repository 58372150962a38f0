"""`python -m dfslab` is the command `dfslab`."""

import sys

from dfslab.cli import main

if __name__ == "__main__":
    sys.exit(main())
