"""Fixtures for all tests: the development cluster's are a plug-in, so that a test asks for `cluster` and one is started."""

import pytest
from hypothesis import settings

pytest_plugins = ["tests.cluster_fixtures"]

# A busy machine says nothing about a law; what takes too long is ended by pytest's own time limit.
settings.register_profile("rung", deadline=None)
settings.load_profile("rung")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the cluster share one and stay together, beside the rest: they wait more than they compute."""
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("cluster"))
