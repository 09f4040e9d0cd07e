"""The version, for whoever must not import the library."""

__version__ = "0.1.0"
