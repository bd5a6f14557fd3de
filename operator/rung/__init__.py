"""Rung: a Kubernetes-native tuning operator. The best hyperparameters for the least GPU time."""

__version__ = "0.1.0"
