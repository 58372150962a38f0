"""Measurements side by side: this package against a naive twin or a peer, in one run on one machine."""
