"""TODO field"""

from dfslab.field._sample import expected_copies, sample_field, sample_fields

__all__ = ["expected_copies", "sample_field", "sample_fields"]
