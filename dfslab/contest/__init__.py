"""TODO contest"""

from dfslab.contest._kernels import in_threads
from dfslab.contest._simulate import ContestResult, FieldScores, expected_payouts, simulate_contest

__all__ = ["ContestResult", "expected_payouts", "FieldScores", "in_threads", "simulate_contest"]
