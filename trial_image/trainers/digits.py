"""A real training that is short: a multilayer perceptron on the 8 x 8 digits, by mini-batches, in numpy.

    x   (b, 64)      pixels / 16              W_l  (n_l, n_l+1)   He-initialised weights, B_l biases
    h_l (b, n_l)     relu(h W + B), dropout   p    (b, 10)        softmax; the loss is mean cross-entropy + l2/2 |W|²

The data are the 1,797 images that scikit-learn carries, read from its file without importing it (importing takes a
second, the file 20 ms): four fifths train, one fifth validates, the same split for every seed and setting. An epoch
shows each training image as it is and, seven times, shifted by a pixel in a direction drawn anew: otherwise a wide
network knows them by heart. Everything random is keyed by (seed, epoch), so that a training resumed from a checkpoint
equals an uninterrupted one bit by bit. A setting that diverges says so: NaN is reported as NaN, and the training ends
there, for there is no way back from it.
Run: `python -m trainers.digits --lr=0.003 --width=64 --batch=32 --optimizer=adam`
Sources: Rumelhart et al. 1986; Kingma & Ba 2015 (Adam, Algorithm 1); Srivastava et al. 2014 (dropout); He et al. 2015.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import math
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# One thread: a node runs many trials, and matrices of this size are slower on two. numpy reads it when imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

import rung_trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence

    Array = NDArray[np.float32]

CLASSES = 10
SIDE = 8
SHIFTS = 7  # with none a wide network ends at twice the loss; with three, ten epochs pass between two looks
SPLIT_SEED = 20  # the split belongs to the problem, not to the trial
DEFAULT_EPOCHS = 27
HELD_OUT = 360  # a fifth: its accuracy has a standard error of 0.7 % at 98 %
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba's


@dataclass(frozen=True)
class Setting:
    """What is tuned. `momentum` is read by sgd alone."""

    lr: float = 0.003
    width: int = 64
    batch: int = 32
    layers: int = 2
    optimizer: str = "adam"
    momentum: float = 0.9
    dropout: float = 0.0
    l2: float = 0.0


class Network:
    """Weights and the optimiser's moments: all that a checkpoint holds."""

    def __init__(self, setting: Setting, seed: int) -> None:
        draw = np.random.default_rng([seed, 0])
        sizes = [SIDE * SIDE, *[setting.width] * setting.layers, CLASSES]
        self.setting = setting
        self.weights: list[Array] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            self.weights.append((draw.standard_normal((fan_in, fan_out)) * math.sqrt(2 / fan_in)).astype(np.float32))
            self.weights.append(np.zeros(fan_out, np.float32))
        self.first = [np.zeros_like(w) for w in self.weights]  # momentum, or Adam's mean of gradients
        self.second = [np.zeros_like(w) for w in self.weights]  # Adam's mean of squared gradients
        self.updates = 0

    def forward(self, x: Array, masks: Sequence[Array] = ()) -> list[Array]:
        """Activations of every layer, the logits last. `masks` drop hidden units, scaled so that their mean stays."""
        activations = [x]
        last = len(self.weights) // 2 - 1
        for layer in range(last + 1):
            z = activations[-1] @ self.weights[2 * layer] + self.weights[2 * layer + 1]
            if layer < last:
                z = np.maximum(z, 0)
                if masks:
                    z *= masks[layer]
            activations.append(z)
        return activations

    def gradients(self, x: Array, y: NDArray[np.int64], masks: Sequence[Array]) -> list[Array]:
        """Of the loss on one batch, by back-propagation, in the order of `weights`."""
        activations = self.forward(x, masks)
        delta = np.exp(_log_softmax(activations[-1]))
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
        found: list[Array] = []
        for layer in reversed(range(len(self.weights) // 2)):
            w = self.weights[2 * layer]
            found += [delta.sum(axis=0), activations[layer].T @ delta + np.float32(self.setting.l2) * w]
            if layer:
                delta = (delta @ w.T) * (activations[layer] > 0)
                if masks:
                    delta *= masks[layer - 1]
        return found[::-1]

    def update(self, gradients: Sequence[Array]) -> None:
        """One step of sgd with momentum, or of Adam."""
        self.updates += 1
        lr = self.setting.lr
        for i, (w, g) in enumerate(zip(self.weights, gradients, strict=True)):
            if self.setting.optimizer == "sgd":
                self.first[i] = np.float32(self.setting.momentum) * self.first[i] + g
                w[...] -= np.float32(lr) * self.first[i]
            else:
                self.first[i] += np.float32(1 - BETA_1) * (g - self.first[i])
                self.second[i] += np.float32(1 - BETA_2) * (g * g - self.second[i])
                corrected = lr * math.sqrt(1 - BETA_2**self.updates) / (1 - BETA_1**self.updates)
                w[...] -= np.float32(corrected) * self.first[i] / (np.sqrt(self.second[i]) + np.float32(EPSILON))

    def evaluate(self, x: Array, y: NDArray[np.int64]) -> tuple[float, float]:
        """Mean cross-entropy and accuracy; both NaN once the weights are, for there is no class to compare then."""
        log_p = _log_softmax(self.forward(x)[-1])
        loss = float(-log_p[np.arange(len(y)), y].mean(dtype=np.float64))
        return loss, math.nan if math.isnan(loss) else float((log_p.argmax(axis=1) == y).mean())

    def save(self, folder: Path) -> None:
        """Write all state into `folder`."""
        arrays: dict[str, NDArray[np.generic]] = {"updates": np.array(self.updates)}
        for kind, parts in (("weight", self.weights), ("first", self.first), ("second", self.second)):
            arrays.update({f"{kind}{i}": part for i, part in enumerate(parts)})
        with (folder / "network.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Raises ValueError where the shapes are another setting's."""
        with np.load(folder / "network.npz") as stored:
            for kind, parts in (("weight", self.weights), ("first", self.first), ("second", self.second)):
                for i, part in enumerate(parts):
                    if stored[f"{kind}{i}"].shape != part.shape:
                        raise ValueError(f"{folder} was trained with another width or number of layers")
                    part[...] = stored[f"{kind}{i}"]
            self.updates = int(stored["updates"])


@dataclass(frozen=True)
class Digits:
    """The images as rows of 64 pixels in [0, 1], and their classes."""

    train_x: Array
    train_y: NDArray[np.int64]
    held_out_x: Array
    held_out_y: NDArray[np.int64]

    @staticmethod
    def load(path: Path) -> Digits:
        """Read scikit-learn's digits.csv.gz: 64 pixels of 0 to 16 and the class in each line."""
        with gzip.open(path, "rt") as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
        table = table[np.random.default_rng(SPLIT_SEED).permutation(len(table))]
        x, y = table[:, :-1] / np.float32(16), table[:, -1].astype(np.int64)
        return Digits(x[HELD_OUT:], y[HELD_OUT:], x[:HELD_OUT], y[:HELD_OUT])

    def shown_in(self, draw: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """One epoch's images in its order: each as it is, and SHIFTS times by one pixel in a direction of its own."""
        images = self.train_x.reshape(-1, SIDE, SIDE)
        padded = np.pad(np.tile(images, (SHIFTS, 1, 1)), ((0, 0), (1, 1), (1, 1)))
        down, right = draw.integers(0, 3, (2, len(padded)))
        rows = down[:, None] + np.arange(SIDE)
        columns = right[:, None] + np.arange(SIDE)
        shifted = padded[np.arange(len(padded))[:, None, None], rows[:, :, None], columns[:, None, :]]
        x = np.concatenate([images, shifted]).reshape(-1, SIDE * SIDE)
        order = draw.permutation(len(x))
        return x[order], np.tile(self.train_y, 1 + SHIFTS)[order]


def train_one_epoch(network: Network, digits: Digits, draw: np.random.Generator) -> None:
    """One pass over the images, in an order and with shifts drawn from `draw`."""
    setting = network.setting
    x, y = digits.shown_in(draw)
    for begin in range(0, len(x), setting.batch):
        batch = x[begin : begin + setting.batch]
        masks: list[Array] = []
        if setting.dropout:
            keep = np.float32(1 - setting.dropout)
            shape = (len(batch), setting.width)
            masks = [(draw.random(shape, np.float32) < keep).astype(np.float32) / keep for _ in range(setting.layers)]
        network.update(network.gradients(batch, y[begin : begin + setting.batch], masks))


def run(setting: Setting, digits: Digits, *, epochs: int | None, seed: int | None) -> None:
    """Train and tell Rung about every epoch; go on from a checkpoint if there is one, leave one when stopped."""
    with rung_trial.start() as trial:
        trial.target = epochs or trial.target
        seed = trial.seed if seed is None else seed
        network = Network(setting, seed)
        resumed = trial.resume()
        if resumed is not None:
            network.load(resumed[1])
        for epoch in trial.steps(DEFAULT_EPOCHS, after=resumed[0] if resumed else 0):
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # diverging is a result, not a fault
                train_one_epoch(network, digits, np.random.default_rng([seed, epoch]))
                loss, accuracy = network.evaluate(digits.held_out_x, digits.held_out_y)
            trial.report(step=epoch, val_loss=loss, val_accuracy=accuracy)
            if not math.isfinite(loss):
                break
            if trial.checkpoint_dir:
                with trial.checkpoint(epoch) as folder:
                    network.save(folder)


def _log_softmax(z: Array) -> Array:
    z = z - z.max(axis=1, keepdims=True)  # exp of a large logit would overflow
    shifted: Array = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return shifted


def _bundled_data() -> Path | None:
    """Where scikit-learn keeps its digits; asking for its place does not import it."""
    found = find_spec("sklearn")
    folders = found.submodule_search_locations if found else None
    return Path(next(iter(folders)), "datasets", "data", "digits.csv.gz") if folders else None


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number between {low} and {high}, got {text}")
        return int(text)

    return parse


def _real(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not low <= float(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a number between {low:g} and {high:g}, got {text}")
        return float(text)

    return parse


def main() -> None:
    """Parse the command line. What can never work exits with 78, so that Rung does not try it again."""
    parser = argparse.ArgumentParser(
        prog="trainers.digits", description="An MLP on handwritten digits.", allow_abbrev=False
    )
    parser.add_argument("--lr", type=_real(1e-8, 1e4), default=Setting.lr)
    parser.add_argument("--width", type=_whole(1, 4096), default=Setting.width, help="units per hidden layer")
    parser.add_argument("--batch", type=_whole(1, 1437), default=Setting.batch)
    parser.add_argument("--layers", type=_whole(0, 8), default=Setting.layers, help="hidden layers")
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default=Setting.optimizer)
    parser.add_argument("--momentum", type=_real(0, 0.9999), default=Setting.momentum, help="of sgd")
    parser.add_argument("--dropout", type=_real(0, 0.95), default=Setting.dropout)
    parser.add_argument("--l2", type=_real(0, 10), default=Setting.l2)
    parser.add_argument("--epochs", type=_whole(1, 10_000), help="RUNG_RESOURCE_TARGET or 27 unless given")
    parser.add_argument("--seed", type=_whole(0, 2**63), help="RUNG_SEED unless given")
    parser.add_argument("--data", type=Path, default=_bundled_data(), help="scikit-learn's digits.csv.gz")
    try:
        given = vars(parser.parse_args())
        data, epochs, seed = given.pop("data"), given.pop("epochs"), given.pop("seed")
        if data is None or not data.exists():
            parser.error(f"no data at {data}: install scikit-learn or give --data=digits.csv.gz")
    except SystemExit as wrong:  # argparse would exit with 2, which Rung would take for a crash and try again
        sys.exit(rung_trial.BAD_CONFIGURATION if wrong.code else 0)
    run(Setting(**given), Digits.load(data), epochs=epochs, seed=seed)


if __name__ == "__main__":
    main()
