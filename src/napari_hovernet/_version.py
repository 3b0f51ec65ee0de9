"""The version, for all that would otherwise import the whole package to learn it."""

__version__ = "0.1.0"
