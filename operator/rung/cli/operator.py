"""`rung operator`: the one command that talks to a cluster, and imports what that takes."""

from __future__ import annotations

import argparse


def main(given: argparse.Namespace) -> int:
    """Run until SIGTERM. Returns the exit code."""
    from rung.controller.main import Options, run  # noqa: PLC0415

    options = Options(
        namespaces=tuple(given.namespaces),
        kubeconfig=given.kubeconfig,
        health_port=given.health_port,
        workers=given.workers,
        write_rate=given.write_rate,
        leader_election=not given.no_leader_election,
        lease_namespace=given.lease_namespace,
        study_metrics=given.study_metrics,
        log_format=given.log_format,
        log_level=given.log_level,
    )
    return run(options)
