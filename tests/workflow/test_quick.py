"""Lineups from two files: names in any spelling, and messages in the units a person typed."""

import numpy as np
import pytest
from race_files import DRIVERS, csv_bytes, salary_rows

from dfslab.optimize import InfeasibleLineup
from dfslab.slate import SlateError
from dfslab.workflow._from_files import optimize_files

NAMES = ["A.J. Réed", *DRIVERS[1:]]


@pytest.fixture
def files(tmp_path):
    points = [["driver", "projected_points", "projected_ownership"]]
    shares = [90, *[46] * 10, 50]
    points += [[name, 50 - 2 * n, f"{shares[n]}%"] for n, name in enumerate(NAMES)]
    for name, rows in (("DKSalaries.csv", salary_rows(NAMES)), ("projections.csv", points)):
        (tmp_path / name).write_bytes(csv_bytes(rows))
    return tmp_path / "DKSalaries.csv", tmp_path / "projections.csv"


def test_locks_and_bans_are_known_in_any_spelling(files):
    found = optimize_files(*files, 5, locks=("aj reed",), bans=("BRUNO  Mott", DRIVERS[3]))
    held = found.slate.names[found.lineups]
    assert (held == NAMES[0]).any(axis=1).all() and not np.isin(held, [DRIVERS[1], DRIVERS[3]]).any()


def test_an_unknown_name_comes_with_the_nearest(files):
    with pytest.raises(SlateError, match="not on the slate: Brunno Mot; did you mean Bruno Mott"):
        optimize_files(*files, locks=("Brunno Mot",))
    with pytest.raises(SlateError, match="not on the slate: 12345; write the name as on the slate"):
        optimize_files(*files, bans=("12345",))


def test_limits_of_the_message_are_fractions_and_percent(files):
    with pytest.raises(
        InfeasibleLineup, match=r"max_ownership_per_driver 0.02 \(2 %\) is too low, 0.46 \(46 %\) works"
    ):
        optimize_files(*files, max_ownership_per_driver=0.02)
    with pytest.raises(InfeasibleLineup, match=r"max_exposure is too low, 0.\d+ \(\d+ %\) works"):
        optimize_files(*files, 5, max_exposure=0.004)
