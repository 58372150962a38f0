"""An open research lab for NASCAR daily fantasy."""

__version__ = "0.1.0"
