"""`rung version`."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from rung.api.names import API_VERSION


def main(given: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its arguments
    """Rung's version, the API's, Python's."""
    try:
        installed = version("rung")
    except PackageNotFoundError:
        installed = "(not installed)"
    print(f"rung {installed}, API {API_VERSION}, Python {platform.python_version()}")
    return 0
