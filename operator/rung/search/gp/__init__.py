"""Bayesian optimisation with Gaussian processes; `sampler` is the door."""
