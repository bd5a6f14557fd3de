"""Fixtures for all tests: the development cluster's are a plug-in, so that a test asks for `cluster` and one is started."""

import os
from pathlib import Path

# Before numpy: matrices here are small, and threads that wait for each other in processes side by side take ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent

pytest_plugins = ["tests.cluster_fixtures"]

# A busy machine says nothing about a law; what takes too long is ended by pytest's own time limit.
# The same examples at every run: what fails for one person fails for all. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("rung", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "rung"))


WAITING = ("cluster", "devcluster", "kube", "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders whose tests wait for other processes first: with the files dealt out in this order, short ones are left for the end."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(TESTS).parts[0]
        return WAITING.index(folder) if folder in WAITING else len(WAITING)

    items.sort(key=place)
