"""Benchmarks: each `python -m bench.NAME` prints a table and writes bench/results/NAME.json; `python -m bench` runs all.

Figures that are compared are measured in one run, one after the other on the same machine. `--quick` makes small runs that
show that a benchmark works; their figures are not written.
"""
