"""An open research lab for NASCAR daily fantasy."""

import os

# The matrices here are small: threads inside BLAS only wait for each other. Takes effect before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from dfslab.parallel import keep_compiled_code

keep_compiled_code()

__version__ = "0.1.0"
