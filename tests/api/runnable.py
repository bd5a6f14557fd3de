"""Which of the users' Studies run, and where: on a cluster, only in simulation, or not yet."""

from __future__ import annotations

from rung.api.implemented import not_implemented
from rung.api.study import parse_study
from tests.api.studies import scenarios

BODY_FIELDS = ("spec.metrics", "spec.trial")
"""What the simulator does not need: how a program is started, and how it is read."""


def _missing(name: str) -> tuple[str, ...]:
    return not_implemented(parse_study(scenarios()[name], strict=True).spec)


MISSING = {name: _missing(name) for name in sorted(scenarios())}
ON_A_CLUSTER = tuple(name for name, fields in MISSING.items() if not fields)
IN_SIMULATION = tuple(
    name for name, fields in MISSING.items() if fields and all(f.startswith(BODY_FIELDS) for f in fields)
)
NOT_YET = tuple(name for name in MISSING if name not in ON_A_CLUSTER and name not in IN_SIMULATION)
