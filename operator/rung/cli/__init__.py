"""The command line: `rung`, also `kubectl rung`, also `python -m rung.cli`."""

from __future__ import annotations

from rung.cli.main import main

__all__ = ["main"]
