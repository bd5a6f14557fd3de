"""Names that both the cluster and its nodes use, and that a user may write into a pod."""

from __future__ import annotations

STORAGE_CLASS = "devcluster"
PROVISIONER = "rung.dev/devcluster"
NODE_KIND_LABEL = "rung.dev/node"  # on a Node: process or simulated
SIMULATED_RESOURCE = "rung.dev/simulated"  # a pod that asks for one goes to a simulated node; the taint has this name
SIMULATE_ANNOTATION = "rung.dev/simulate"  # on a pod: what it pretends (replay.py)
OOM_ANNOTATION = "rung.dev/oom-exit-code"  # on a pod: a container that ends with this code was out of memory
TOKEN_VARIABLE = "DEVCLUSTER_TOKEN"  # of an agent; a command line could be read by other users
