"""Tables of real learning curves: scikit-learn models, trained on data sets that it carries, on grids of configurations.

    mlp_digits      neural networks on digits, validation log-loss after each of 27 epochs
    mlp_diabetes    neural networks on diabetes, relative squared error after each of 27 epochs
    sgd_breast      linear models on breast_cancer, log-loss after each of 27 epochs
    forest_wine     forests on wine, log-loss after 4, 8, … 108 trees

Each configuration is trained once, with a seed of its own; so neighbours differ by the luck of training, as they do in life. What
diverges stands at the loss of the worst quarter. Seconds are counted, not measured (multiply-adds at 1 GFLOP/s and 0.2 ms for
each batch), so that a table is the same on every machine. `python -m bench.search tables` makes them in a minute or two; they
are kept in the cache and not in the repository.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.search.problem import Array, Config, Outcome, Parameter, Problem, reference_of

EPOCHS = 27
TREES = 4  # for each epoch of a forest
SECONDS_PER_BATCH = 2e-4
SECONDS_PER_OPERATION = 1e-9

Grid = Mapping[str, Sequence[Any]]
Train = Callable[[Mapping[str, Any], int], Iterator[float]]


class Table(NamedTuple):
    """How one is made: numbers become levels 0, 1, …, texts become choices."""

    grid: Grid
    train: Callable[[], Train]  # loads the data, and gives what trains one configuration


class Trained(Problem):
    """One table as a problem. The loss after the last epoch is the objective."""

    def __init__(self, name: str, grid: Grid, curves: Array, seconds: Array) -> None:
        self._curves, self._seconds = curves, seconds
        self._sizes = tuple(len(values) for values in grid.values())
        super().__init__(
            name, tuple(_parameter(n, v) for n, v in grid.items()), epochs=EPOCHS, tags=frozenset({"curves"})
        )
        final = curves[:, -1]
        self.best, self.reference = float(final.min()), reference_of(final.tolist(), np.random.default_rng(0))

    def truth(self, config: Config) -> Outcome:
        """After the last epoch."""
        return Outcome((float(self._curves[self._place(config), -1]),))

    def curve(self, config: Config, random: np.random.Generator) -> tuple[Array, Array]:  # noqa: ARG002 - as measured
        """As it was trained."""
        place = self._place(config)
        return self._curves[place], np.full(EPOCHS, self._seconds[place])

    def _place(self, config: Config) -> int:
        levels = [p.choices.index(config[p.name]) if p.kind == "cat" else int(config[p.name]) for p in self.space]
        return int(np.ravel_multi_index(levels, self._sizes))


def _parameter(name: str, values: Sequence[Any]) -> Parameter:
    if isinstance(values[0], str):
        return Parameter(name, "cat", choices=tuple(values))
    return Parameter(name, "int", 0, len(values) - 1)


def _split(data: Any, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """Two thirds to train on, one to validate; features at mean 0 and deviation 1."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - only where tables are made
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    x, x_valid, y, y_valid = train_test_split(data.data, data.target, test_size=1 / 3, random_state=seed)
    scaler = StandardScaler().fit(x)
    return scaler.transform(x), scaler.transform(x_valid), y, y_valid


def _networks(regression: bool) -> Train:
    from sklearn.datasets import load_diabetes, load_digits  # noqa: PLC0415
    from sklearn.metrics import log_loss  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: PLC0415

    x, x_valid, y, y_valid = _split(load_diabetes() if regression else load_digits())
    if regression:
        mean, deviation = y.mean(), y.std()
        y, y_valid = (y - mean) / deviation, (y_valid - mean) / deviation

    def train(config: Mapping[str, Any], seed: int) -> Iterator[float]:
        kind = MLPRegressor if regression else MLPClassifier
        model = kind(
            hidden_layer_sizes=(config["width"],),
            activation=config["activation"],
            solver=config["solver"],
            learning_rate_init=config["lr"] * (10 if config["solver"] == "sgd" else 1),
            alpha=config["alpha"],
            batch_size=config["batch"],
            random_state=seed,
        )
        for _ in range(EPOCHS):
            if regression:
                model.partial_fit(x, y)
                yield float(np.mean((model.predict(x_valid) - y_valid) ** 2))
            else:
                model.partial_fit(x, y, classes=np.arange(10))
                yield float(log_loss(y_valid, model.predict_proba(x_valid), labels=np.arange(10)))

    return train


def _linear() -> Train:
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415
    from sklearn.linear_model import SGDClassifier  # noqa: PLC0415

    x, x_valid, y, y_valid = _split(load_breast_cancer())

    def train(config: Mapping[str, Any], seed: int) -> Iterator[float]:
        model = SGDClassifier(
            loss=config["loss"],
            penalty=config["penalty"],
            alpha=config["alpha"],
            l1_ratio=0.5,
            learning_rate=config["schedule"],
            eta0=config["eta"],
            random_state=seed,
        )
        order = np.random.default_rng(seed)
        for _ in range(EPOCHS):
            chosen = order.permutation(len(x))
            model.partial_fit(x[chosen], y[chosen], classes=[0, 1])
            margin = np.clip(model.decision_function(x_valid) * np.where(y_valid, 1, -1), -500, 500)
            yield float(np.mean(np.logaddexp(0, -margin)))

    return train


def _forests() -> Train:
    from sklearn.datasets import load_wine  # noqa: PLC0415
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier  # noqa: PLC0415
    from sklearn.metrics import log_loss  # noqa: PLC0415

    x, x_valid, y, y_valid = _split(load_wine())

    def train(config: Mapping[str, Any], seed: int) -> Iterator[float]:
        kind = ExtraTreesClassifier if config["kind"] == "extra" else RandomForestClassifier
        model = kind(
            max_features=config["features"],
            max_depth=config["depth"],
            min_samples_leaf=config["leaf"],
            criterion=config["criterion"],
            max_samples=config["sample"],
            bootstrap=True,
            warm_start=True,
            random_state=seed,
        )
        for epoch in range(1, EPOCHS + 1):
            model.n_estimators = TREES * epoch
            model.fit(x, y)
            yield float(log_loss(y_valid, model.predict_proba(x_valid)))

    return train


TABLES = {
    "mlp_digits": Table(
        {
            "width": [8, 24, 72],
            "lr": [1e-4, 4e-4, 1.6e-3, 6.4e-3, 2.5e-2],
            "alpha": [1e-4, 1e-1],
            "batch": [32, 128],
            "activation": ["relu", "tanh"],
            "solver": ["sgd", "adam"],
        },
        lambda: _networks(regression=False),
    ),
    "mlp_diabetes": Table(
        {
            "width": [4, 12, 36],
            "lr": [1e-4, 4e-4, 1.6e-3, 6.4e-3, 2.5e-2],
            "alpha": [1e-2, 1.0],
            "batch": [16, 64],
            "activation": ["relu", "tanh"],
            "solver": ["sgd", "adam"],
        },
        lambda: _networks(regression=True),
    ),
    "sgd_breast": Table(
        {
            "eta": [1e-4, 4e-4, 1.6e-3, 6.4e-3, 2.5e-2, 0.1, 0.4],
            "alpha": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2],
            "loss": ["hinge", "log_loss", "modified_huber"],
            "penalty": ["l2", "l1"],
            "schedule": ["constant", "invscaling"],
        },
        _linear,
    ),
    "forest_wine": Table(
        {
            "features": [0.1, 0.3, 0.6, 1.0],
            "depth": [1, 2, 4, 8],
            "leaf": [1, 3],
            "sample": [0.3, 0.9],
            "criterion": ["gini", "entropy"],
            "kind": ["forest", "extra"],
        },
        _forests,
    ),
}


def cost(config: Mapping[str, Any]) -> float:
    """Seconds of an epoch, counted."""
    if "width" in config:
        samples, inputs = 1200, 64
        operations = 6 * samples * inputs * config["width"]
        return SECONDS_PER_OPERATION * operations + SECONDS_PER_BATCH * samples / config["batch"]
    if "eta" in config:
        return SECONDS_PER_OPERATION * 6 * 380 * 30 + SECONDS_PER_BATCH
    return TREES * (
        SECONDS_PER_BATCH * 5 + 1e-5 * 118 * config["features"] * config["sample"] * min(config["depth"], 4)
    )


def path_of(cache: Path, name: str) -> Path:
    """Where a table is kept: a changed script makes it again."""
    script = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return cache / "tables" / f"{name}-{script}.npz"


def make(cache: Path, name: str) -> None:
    """Train every configuration of a table that is not there yet."""
    path, table = path_of(cache, name), TABLES[name]
    if path.exists():
        return
    train = table.train()
    curves: list[list[float]] = []
    seconds: list[float] = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for seed, values in enumerate(product(*table.grid.values())):
            config = dict(zip(table.grid, values, strict=True))
            curves.append(_whole(train(config, seed)))
            seconds.append(cost(config))
    found = np.array(curves)
    finite = np.where(np.isfinite(found), found, np.inf)
    worst = np.quantile(finite[np.isfinite(finite)], 0.75)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, curves=np.minimum(finite, worst).astype(np.float32), seconds=np.array(seconds))


def _whole(losses: Iterator[float]) -> list[float]:
    """A training that breaks off diverged: from there on its loss is not finite."""
    said: list[float] = []
    with contextlib.suppress(ValueError, FloatingPointError):
        said.extend(losses)
    return said + [np.inf] * (EPOCHS - len(said))


def problems(cache: Path) -> list[Problem]:
    """The tables that have been made."""
    found: list[Problem] = []
    for name, table in TABLES.items():
        path = path_of(cache, name)
        if path.exists():
            with np.load(path) as kept:
                found.append(Trained(name, table.grid, kept["curves"].astype(np.float64), kept["seconds"]))
    return found
