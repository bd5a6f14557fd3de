"""Bytes that nobody meant, for every parser of `rung.observe`. See `tests.fuzz.__main__`."""
