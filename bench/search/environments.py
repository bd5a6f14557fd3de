"""Environments of the peers: made here, by pip, in a folder outside the tree; never a dependency of ours.

    peers   Optuna with its Gaussian process (torch) and CMA-ES, hyperopt; scikit-learn and matplotlib for tables and figures
    syne    Syne Tune 0.13, the last release with MOBSTER and Hyper-Tune, which needs an older numpy
    bohb    BOHB as its authors wrote it, whose calls ConfigSpace has since dropped
    smac    SMAC
    hebo    HEBO, with the one release of GPy that goes with its numpy: left to itself pip searches for it for many minutes

What does not install is said so, and left out of the comparison.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.search.methods import BOHB, HEBO, OURS, PEERS, SMAC, SYNE

PACKAGES: dict[str, tuple[str, ...]] = {
    PEERS: ("numpy<2.3", "optuna==5.0.0", "cmaes", "hyperopt", "torch", "scikit-learn", "matplotlib"),
    SYNE: ("setuptools<81", "numpy<2", "syne-tune[gpsearchers,kde]==0.13.0"),
    BOHB: ("setuptools<81", "numpy<1.24", "ConfigSpace<0.7", "hpbandster==0.7.4"),
    SMAC: ("smac==2.4.1",),
    HEBO: ("setuptools<81", "numpy==1.24.4", "GPy==1.13.2", "torch", "HEBO==0.3.6"),
}


def python(environment: str, folder: Path) -> Path:
    """Its interpreter."""
    return Path(sys.executable) if environment == OURS else folder / environment / "bin" / "python"


def install(folder: Path) -> None:
    """Make the environments that are missing or whose packages have changed."""
    for environment, packages in PACKAGES.items():
        if _installed(environment, folder) == list(packages):
            continue
        print(f"==> {environment}: {', '.join(packages)}", flush=True)
        interpreter = python(environment, folder)
        _note(environment, folder).unlink(missing_ok=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder / environment)], check=True)
            subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *packages], check=True)
        except subprocess.CalledProcessError as error:
            print(f"{environment} is left out: {error}", file=sys.stderr, flush=True)
            continue
        _note(environment, folder).write_text(json.dumps(packages), encoding="utf-8")


def available(environment: str, folder: Path) -> bool:
    """Whether it has been made, to its end."""
    return environment == OURS or _note(environment, folder).exists()


def _installed(environment: str, folder: Path) -> list[str] | None:
    try:
        found: list[str] = json.loads(_note(environment, folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _note(environment: str, folder: Path) -> Path:
    """What was installed; written last."""
    return folder / environment / "installed.json"
