"""A container's environment variables on this machine.

    value             as it stands, with references $(NAME) replaced as the kubelet does
    fieldRef          what a machine can answer: the pod's name, namespace, labels and annotations, addresses, node
    resourceFieldRef  the container's own limits and requests, or what the machine has
    secretKeyRef, configMapKeyRef, and any other field
                      of the shell that runs us, under the same name; refused where it has none, unless `optional`

Sources: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/ ;
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ .
"""

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rung.api.errors import InvalidStudy

HOST = "127.0.0.1"
_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?)([a-zA-Z]*)")
_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
_CLUSTER_KINDS = {"secretKeyRef": "the Secret", "configMapKeyRef": "the ConfigMap", "fieldRef": "that field of a pod"}


@dataclass(frozen=True, slots=True)
class Pod:
    """What the downward API would say of an attempt's pod."""

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def check(container: Mapping[str, Any], shell: Mapping[str, str], where: str) -> None:
    """Raises InvalidStudy for the first variable that this machine cannot give."""
    for index, item in enumerate(container.get("env") or ()):
        source = item.get("valueFrom")
        if source is None or item["name"] in shell or _here(source, container, Pod("", ""), where) is not None:
            continue
        kind = next(iter(source), "")
        if not (source.get(kind) or {}).get("optional"):
            raise InvalidStudy(
                f"{where}.env[{index}].valueFrom",
                f"{_CLUSTER_KINDS.get(kind, 'this')} is not known on this machine:"
                f" set {item['name']} in the shell that starts `rung run`",
            )


def values(
    container: Mapping[str, Any], pod: Pod, *, given: Mapping[str, str], shell: Mapping[str, str]
) -> dict[str, str]:
    """The container's variables on top of `given`, which references may name."""
    known = dict(given)
    for item in container.get("env") or ():
        source = item.get("valueFrom")
        if source is None:
            known[item["name"]] = expanded(str(item.get("value") or ""), known)
            continue
        found = _here(source, container, pod, "")
        if found is None:
            found = shell.get(item["name"])
        if found is not None:
            known[item["name"]] = found
    return known


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """References as the kubelet replaces them; an unknown one stays as it is.

    Source: k8s.io/kubernetes/third_party/forked/golang/expansion.
    """
    if "$" not in text:
        return text
    return _REFERENCE.sub(lambda m: "$" if m[1] is None else variables.get(m[1], m[0]), text)


def cpus(container: Mapping[str, Any], where: str) -> int:
    """Whole cores that it asks for: 500m is one; 0 if it does not say. Raises InvalidStudy for what is no quantity."""
    return math.ceil(_amount(container, "requests.cpu", where) or _amount(container, "limits.cpu", where) or 0)


def quantity(text: object) -> Decimal:
    """A Kubernetes quantity: 500m, 2, 1.5Gi, 100k, 1e3. Raises ValueError for another."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None or found[2] not in _SUFFIXES:
        raise ValueError(f"must be a quantity such as 500m, 2 or 1.5Gi, got {text!r}")
    return Decimal(found[1]) * _SUFFIXES[found[2]]


def _here(source: Mapping[str, Any], container: Mapping[str, Any], pod: Pod, where: str) -> str | None:
    """What this machine answers; None where it cannot."""
    if "resourceFieldRef" in source:
        asked = source["resourceFieldRef"]
        resource = asked.get("resource", "")
        amount = _amount(container, resource, where) or _of_the_machine(resource)
        divisor = _quantity_of(asked.get("divisor") or 1, f"{where}.env.valueFrom.resourceFieldRef.divisor") or 1
        return None if amount is None else str(math.ceil(amount / divisor))
    path = (source.get("fieldRef") or {}).get("fieldPath", "")
    keyed = _KEYED.fullmatch(path)
    if keyed:
        return (pod.labels if keyed[1] == "labels" else pod.annotations).get(keyed[2], "")
    address = {
        "status.podIP": HOST,
        "status.podIPs": HOST,
        "status.hostIP": HOST,
        "spec.nodeName": socket.gethostname(),
    }
    return {"metadata.name": pod.name, "metadata.namespace": pod.namespace, **address}.get(path)


def _amount(container: Mapping[str, Any], resource: str, where: str) -> Decimal | None:
    kind, _, name = resource.partition(".")
    said = ((container.get("resources") or {}).get(kind) or {}).get(name)
    return None if said is None else _quantity_of(said, f"{where}.resources.{resource}")


def _quantity_of(text: object, where: str) -> Decimal:
    try:
        return quantity(text)
    except ValueError as error:
        raise InvalidStudy(where, str(error)) from error


def _of_the_machine(resource: str) -> Decimal | None:
    """What a container without a limit gets to see: all that its node has."""
    if resource == "limits.cpu":
        return Decimal(os.cpu_count() or 1)
    if resource == "limits.memory" and hasattr(os, "sysconf"):
        return Decimal(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None
