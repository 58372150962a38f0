"""The field: opponents' lineups that own, spend and copy as real fields do.

A field is drawn from the lineup law of the forecast ownership, but for the copied lineups: those that many people
arrive at alone from the same public numbers. `sample_field` draws one, `sample_fields` one for each draw of the
ownership, and `expected_copies` says how often a lineup of yours will be entered by others. How much a field copies
depends on its size and kind (`field_preset`); cash contests copy more.

>>> import numpy as np
>>> from dfslab.field import sample_field
>>> from dfslab.slate import Slate
>>> slate = Slate.from_frame({"driver": list("ABCDEFGHIJ"), "salary": range(5000, 10000, 500)})
>>> sample_field(slate, [0.6] * 10, 100, rng=np.random.default_rng(1)).shape
(100, 6)
"""

from dfslab.field._sample import FieldPreset, expected_copies, field_preset, fit_field, sample_field, sample_fields

__all__ = ["FieldPreset", "expected_copies", "field_preset", "fit_field", "sample_field", "sample_fields"]
