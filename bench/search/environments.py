"""Environments of the peers: made here, by pip, in a folder outside the tree; never a dependency of ours.

    peers   Optuna with its Gaussian process (torch) and CMA-ES, hyperopt; scikit-learn and matplotlib for tables and figures
    syne    Syne Tune 0.13, the last release with MOBSTER and Hyper-Tune, which needs an older numpy

What does not install is left out of the comparison and said so. `TRIED` says what was, and why.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.search.methods import OURS, PEERS, SMAC, SYNE

PACKAGES: dict[str, tuple[str, ...]] = {
    PEERS: ("numpy<2.3", "optuna==5.0.0", "cmaes", "hyperopt", "torch", "scikit-learn", "matplotlib"),
    SYNE: ("setuptools<81", "numpy<2", "syne-tune[gpsearchers]==0.13.0"),
    SMAC: ("smac==2.4.1",),
}


def python(environment: str, folder: Path) -> Path:
    """Its interpreter."""
    return Path(sys.executable) if environment == OURS else folder / environment / "bin" / "python"


def install(folder: Path) -> None:
    """Make the environments that are missing. Raises CalledProcessError with pip's words on the screen."""
    for environment, packages in PACKAGES.items():
        interpreter = python(environment, folder)
        if not interpreter.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder / environment)], check=True)
        print(f"==> {environment}: {', '.join(packages)}", flush=True)
        subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *packages], check=True)


def available(environment: str, folder: Path) -> bool:
    """Whether it has been made."""
    return python(environment, folder).exists()
