"""TODO sample"""

from dfslab.sample._season import SEED, replay, write_sample

__all__ = ["replay", "SEED", "write_sample"]
