"""The development cluster: a real Kubernetes control plane on this machine, with nodes that run local processes.

See README.md in this folder, `Cluster` for tests and `python -m devcluster --help` for the command line.
"""

from devcluster.cluster import Cluster
from devcluster.control_plane import Settings
from devcluster.errors import ApiError, BuildError, DevclusterError, StartError

__all__ = ["ApiError", "BuildError", "Cluster", "DevclusterError", "Settings", "StartError"]
