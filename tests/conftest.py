"""Fixtures for all tests: the development cluster's are a plug-in, so that a test asks for `cluster` and one is started."""

import os

# Before numpy: matrices here are small, and threads that wait for each other in processes side by side take ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

pytest_plugins = ["tests.cluster_fixtures"]

# A busy machine says nothing about a law; what takes too long is ended by pytest's own time limit.
# The same examples at every run: what fails for one person fails for all. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("rung", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "rung"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the cluster share one and stay together, beside the rest: they wait more than they compute."""
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("cluster"))
