"""A random forest as the model of the objective, in the manner of SMAC."""

from rung.search.random_forest.sampler import RandomForestSampler

__all__ = ["RandomForestSampler"]
