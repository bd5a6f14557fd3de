"""What stands for an image on a process node: a command, an environment and a folder on this machine.

A pod that names its command needs no entry here: any image will do, since nothing is pulled. Without a command an
image must be known. An image with `does-not-exist` in its name behaves like one that no registry has, for tests.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON_FOLDER = str(Path(sys.executable).parent)  # so that `python` is the one that runs the cluster
MISSING = "does-not-exist"


@dataclass(frozen=True)
class Image:
    """An image's ENTRYPOINT, CMD, ENV and WORKDIR, and the folder of its own programs."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    programs: Path | None = None


_PYTHON = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
KNOWN = {
    "rung-trial": Image(  # as trial_image/Dockerfile has it
        command=("python", "-m", "trainers.digits"),
        env={**_PYTHON, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "trial_image")},
        folder=ROOT / "trial_image",
        programs=ROOT / "trial_image" / "bin",
    ),
    "rung-operator": Image(
        entrypoint=("python", "-m", "rung.cli"),
        command=("operator",),
        env={**_PYTHON, "PYTHONPATH": str(ROOT / "operator")},
        folder=ROOT,
    ),
}


def find_image(name: str) -> Image | None:
    """The image of that name, whatever its registry and tag; None if there is none like it."""
    short = name.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return KNOWN.get(short)


def image_id(name: str) -> str:
    """A stable imageID: pods of one image have the same one."""
    return f"{name.partition('@')[0]}@sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def image_path(image: Image | None) -> str:
    """PATH in a container of that image: its programs and Python's folder first, then this machine's."""
    path = os.environ.get("PATH", os.defpath)
    if image is None:
        return f"{path}:{PYTHON_FOLDER}"
    first = f"{image.programs}:" if image.programs else ""
    return f"{first}{PYTHON_FOLDER}:{path}"
