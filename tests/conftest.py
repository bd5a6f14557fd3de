"""Fixtures for all tests: the development cluster's are a plug-in, so that a test asks for `cluster` and one is started."""

from hypothesis import settings

pytest_plugins = ["tests.cluster_fixtures"]

# A busy machine says nothing about a law; what takes too long is ended by pytest's own time limit.
settings.register_profile("rung", deadline=None)
settings.load_profile("rung")
