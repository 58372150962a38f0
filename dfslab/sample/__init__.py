"""An invented season that judges the rest: drivers, races driven lap by lap, and contests filled by people.

Nothing in it is real, and it shares no model with the package, so what the package promises can be checked against the
law that made the season: `replay` runs a race again, with what was public before it held fixed. Each seed grows another
world, which also differs in how much the field knows, how strong favourites are and how top-heavy contests are.

>>> import numpy as np
>>> again = replay("2026-08-23-copperhead-mile", 3, np.random.default_rng(1), n_fields=1)
>>> again.points.shape, again.fields.shape
((3, 36), (1, 4756, 6))
"""

from dfslab.sample._season import SEED, Replays, replay, write_sample

__all__ = ["Replays", "replay", "SEED", "write_sample"]
