"""Functions with a known optimum: shifted and rotated by seeds of our own, so that no method knows its corners.

    u   (d,) the configuration in the unit cube      w = 2 R (u - shift)   (d,) what a base function sees, optimum at 0

`functions` have one objective; `noisy` ones are observed with a standard deviation of a tenth of what ten random trials miss;
`Pipeline` is conditional and mixed: a choice of algorithms, each with children of its own. `Constrained` and `Pareto` are
small classics with known answers. `Cells` is a space of network cells: six edges, each one of five operations.

Sources: Jamil & Yang 2013 (base functions); Gramacy et al. 2016 (toy); Deb et al. 2002 (ZDT, DTLZ); Dong & Yang 2020 for
the shape of the cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from bench.search.problem import Array, Config, Outcome, Parameter, Problem, reference_of

DRAWN = 2_000  # random configurations for a reference


def sphere(w: Array) -> float:
    """A bowl whose axes differ by four decades."""
    weights = 10.0 ** (4 * np.arange(len(w)) / max(1, len(w) - 1))
    return float(weights @ (w * w))


def ackley(w: Array) -> float:
    """A funnel under ripples."""
    x = 16 * w
    mean, ripples = np.mean(x * x), np.mean(np.cos(2 * np.pi * x))
    return float(20 + np.e - 20 * np.exp(-0.2 * np.sqrt(mean)) - np.exp(ripples))


def rosenbrock(w: Array) -> float:
    """A bent valley, on a logarithmic scale."""
    x = 1 + 2.5 * w
    return float(np.log1p(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)))


def griewank(w: Array) -> float:
    """Shallow ripples on a wide bowl."""
    x = 20 * w
    return float(np.sum(x * x) / 400 + 1 - np.prod(np.cos(x / np.sqrt(np.arange(1, len(x) + 1)))))


def rastrigin(w: Array) -> float:
    """Many local optima on a grid."""
    x = 2 * w
    return float(np.sum(x * x + 3 * (1 - np.cos(2 * np.pi * x))))


def levy(w: Array) -> float:
    """Waves whose height grows with the distance."""
    x = 1 + 2.5 * w
    inner = np.sum((x[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * x[:-1] + 1) ** 2))
    last = (x[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * x[-1]) ** 2)
    return float(np.sin(np.pi * x[0]) ** 2 + inner + last)


class Shifted(Problem):
    """A base function behind a shift and a rotation."""

    def __init__(
        self, name: str, base: Callable[[Array], float], d: int, seed: int, *, rotated: bool = True, noise: float = 0.0
    ) -> None:
        random = np.random.default_rng(seed)
        self._base = base
        self._shift = random.uniform(0.2, 0.8, d)
        self._rotation = _rotation(d, random) if rotated else np.eye(d)
        space = tuple(Parameter(f"x{i}") for i in range(d))
        super().__init__(name, space, tags=frozenset({"noisy"} if noise else ()))
        self.reference = reference_of([self._value(random.random(d)) for _ in range(DRAWN)], random)
        self._deviation = noise * self.reference

    def truth(self, config: Config) -> Outcome:
        """Without noise."""
        return Outcome((self._value(np.array([config[p.name] for p in self.space])),))

    def observe(self, config: Config, random: np.random.Generator) -> Outcome:
        """With noise."""
        return Outcome((self.truth(config).objectives[0] + self._deviation * random.standard_normal(),))

    def _value(self, u: Array) -> float:
        return self._base(2 * self._rotation @ (u - self._shift))


class Pipeline(Problem):
    """A model search: the choice of an algorithm opens children of it; three parameters are shared.

    Each algorithm has a floor, an optimum of its own, an interaction of two parameters, and one wide flat direction.
    """

    KINDS = ("linear", "forest", "boost", "net")
    SHARED = (
        Parameter("lr", "float", 1e-5, 1.0, log=True),
        Parameter("features", "int", 2, 64, log=True),
        Parameter("scaler", "cat", choices=("none", "standard", "robust", "quantile")),
    )

    def __init__(self, name: str, seed: int) -> None:
        random = np.random.default_rng(seed)
        space = [Parameter("kind", "cat", choices=self.KINDS), *self.SHARED]
        for kind in self.KINDS:
            own = {"parent": "kind", "when": (kind,)}
            space.append(Parameter(f"{kind}_size", "int", 1, 200, log=True, **own))  # type: ignore[arg-type]
            space.append(Parameter(f"{kind}_penalty", "float", 1e-4, 1e2, log=True, **own))  # type: ignore[arg-type]
            space.append(Parameter(f"{kind}_rule", "cat", choices=("p", "q", "r"), **own))  # type: ignore[arg-type]
        super().__init__(name, tuple(space), tags=frozenset({"conditional"}))
        self._by_name = {p.name: p for p in space}
        floors = random.permutation([0.0, 0.03, 0.08, 0.15])
        self._optima = {kind: random.uniform(0.2, 0.8, 4) for kind in self.KINDS}
        self._floors = dict(zip(self.KINDS, floors, strict=True))
        self._scalers = {kind: random.permutation(4) * 0.03 for kind in self.KINDS}
        self._rules = {kind: random.permutation(3) * 0.05 for kind in self.KINDS}
        values = [self.truth(self.sample(random)).objectives[0] for _ in range(DRAWN)]
        self.best, self.reference = self._lowest(), reference_of(values, random)

    def truth(self, config: Config) -> Outcome:
        """Quadratic around the algorithm's optimum, on a logarithmic scale."""
        kind = config["kind"]
        names = ("lr", "features", f"{kind}_size", f"{kind}_penalty")
        encoded = np.array([self._by_name[n].encode(config[n]) for n in names])
        lr, features, size, penalty = (encoded - self._optima[kind]).tolist()
        lr -= 0.4 * features
        loss = self._floors[kind] + 4 * lr**2 * (1 if lr < 0 else 4) + 0.2 * features**2
        loss += 0.8 * (size + 0.5 * penalty) ** 2 + 0.2 * penalty**2
        loss += self._scalers[kind][self._by_name["scaler"].choices.index(config["scaler"])]
        loss += self._rules[kind][("p", "q", "r").index(config[f"{kind}_rule"])]
        return Outcome((float(np.log(0.02 + loss)),))

    def _lowest(self) -> float:
        """Of the best algorithm's optimum; whole numbers come close to it."""
        return float(np.log(0.02 + min(self._floors.values())))


class Constrained(Problem):
    """One objective, constraints at most 0. `best` is the optimum among the feasible."""

    def __init__(self, name: str, d: int, best: float, constraints: int, function: Callable[[Array], Outcome]) -> None:
        self._function = function
        space = tuple(Parameter(f"x{i}") for i in range(d))
        super().__init__(name, space, best=best, constraints=constraints, tags=frozenset({"constrained"}))
        random = np.random.default_rng(0)
        found = [self._function(random.random(d)) for _ in range(DRAWN)]
        self.reference = reference_of([o.objectives[0] for o in found if o.feasible], random)

    def truth(self, config: Config) -> Outcome:
        """Exact."""
        return self._function(np.array([config[p.name] for p in self.space]))


class Pareto(Problem):
    """Two objectives in about 0 … 1; compared by the hypervolume below (1.1, 1.1)."""

    def __init__(self, name: str, d: int, function: Callable[[Array], tuple[float, float]]) -> None:
        self._function = function
        space = tuple(Parameter(f"x{i}") for i in range(d))
        super().__init__(name, space, objectives=2, tags=frozenset({"pareto"}))

    def truth(self, config: Config) -> Outcome:
        """Exact."""
        return Outcome(self._function(np.array([config[p.name] for p in self.space])))


class Cells(Problem):
    """A network's cell: six edges between four nodes, each one of five operations; 15,625 in all.

    Each operation adds to what flows along its edge, paths multiply, a path of `none` is cut; two operations that follow
    each other may help or hurt. Observed with noise, as a training is; the table is drawn by a seed.
    """

    OPERATIONS = ("none", "skip", "conv1", "conv3", "pool")
    EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

    def __init__(self, name: str, seed: int, noise: float = 0.3) -> None:
        random = np.random.default_rng(seed)
        space = tuple(Parameter(f"edge{a}{b}", "cat", choices=self.OPERATIONS) for a, b in self.EDGES)
        super().__init__(name, space, tags=frozenset({"noisy", "cells"}))
        strength = np.array([0.0, 0.5, 0.8, 1.0, 0.4])
        flow = strength * np.exp(0.25 * random.standard_normal((6, 5))) * (strength > 0)
        after = 0.3 * random.standard_normal((5, 5))
        self._table = np.array([self._loss(cell, flow, after) for cell in itertools.product(range(5), repeat=6)])
        self.best = float(self._table.min())
        self.reference = reference_of(self._table.tolist(), random)
        self._deviation = noise * (self.reference - self.best)

    def truth(self, config: Config) -> Outcome:
        """From the table."""
        place = 0
        for p in self.space:
            place = 5 * place + p.choices.index(config[p.name])
        return Outcome((float(self._table[place]),))

    def observe(self, config: Config, random: np.random.Generator) -> Outcome:
        """With noise."""
        return Outcome((self.truth(config).objectives[0] + self._deviation * random.standard_normal(),))

    def _loss(self, cell: tuple[int, ...], flow: Array, after: Array) -> float:
        """What arrives at the last node, over all paths from the first."""
        by_edge = {edge: (i, cell[i]) for i, edge in enumerate(self.EDGES)}
        arrives = 0.0
        for path in ((0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)):
            steps = [by_edge[edge] for edge in itertools.pairwise(path)]
            carried = float(np.prod([flow[i, operation] for i, operation in steps]))
            arrives += carried * float(np.exp(sum(after[a[1], b[1]] for a, b in itertools.pairwise(steps))))
        return -float(np.log1p(arrives))


def toy(u: Array) -> Outcome:
    """Gramacy et al. 2016: a line to be minimised behind a wave and a circle; optimum 0.5998."""
    x, y = u
    wave = 1.5 - x - 2 * y - 0.5 * np.sin(2 * np.pi * (x * x - 2 * y))
    return Outcome((float(x + y),), (float(wave), float(x * x + y * y - 1.5)))


def beam(u: Array) -> Outcome:
    """The welded beam (Coello 2002): cost under five constraints on stress, deflection and buckling; optimum 1.7249."""
    h, length, t, b = 0.1 + 1.9 * u[0], 0.1 + 9.9 * u[1], 0.1 + 9.9 * u[2], 0.1 + 1.9 * u[3]
    load, reach = 6000.0, 14.0
    shear = load / (np.sqrt(2) * h * length)
    moment = load * (reach + length / 2)
    radius = np.sqrt(length**2 / 4 + ((h + t) / 2) ** 2)
    polar = 2 * np.sqrt(2) * h * length * (length**2 / 12 + ((h + t) / 2) ** 2)
    bent = moment * radius / polar
    stress = np.sqrt(shear**2 + shear * bent * length / radius + bent**2)
    deflection = 4 * load * reach**3 / (30e6 * t**3 * b)
    buckling = 4.013 * 30e6 * np.sqrt(t**2 * b**6 / 36) / reach**2 * (1 - t / (2 * reach) * np.sqrt(30 / 48))
    cost = 1.10471 * h * h * length + 0.04811 * t * b * (14 + length)
    bounds = (
        stress / 13600 - 1,
        6 * load * reach / (b * t * t) / 30000 - 1,
        (h - b),
        deflection / 0.25 - 1,
        1 - buckling / load,
    )
    return Outcome((float(cost),), tuple(map(float, bounds)))


def zdt2(u: Array) -> tuple[float, float]:
    """A concave front."""
    g = 1 + 9 * float(np.mean(u[1:]))
    return float(u[0]), g * (1 - (float(u[0]) / g) ** 2)


def zdt3(u: Array) -> tuple[float, float]:
    """A front of five pieces."""
    g = 1 + 9 * float(np.mean(u[1:]))
    share = float(u[0]) / g
    return float(u[0]), g * (1 - np.sqrt(share) - share * float(np.sin(10 * np.pi * u[0])))


def _rotation(d: int, random: np.random.Generator) -> Array:
    q, r = np.linalg.qr(random.standard_normal((d, d)))
    rotation: Array = q * np.sign(np.diag(r))
    return rotation


def problems() -> list[Problem]:
    """All of them."""
    return [
        Shifted("griewank4", griewank, 4, 11),
        Shifted("rosenbrock6", rosenbrock, 6, 12),
        Shifted("levy5", levy, 5, 13),
        Shifted("ackley8", ackley, 8, 14),
        Shifted("rastrigin3", rastrigin, 3, 15),
        Shifted("bowl12", sphere, 12, 16, rotated=False),
        Shifted("noisy_levy5", levy, 5, 17, noise=0.2),
        Shifted("noisy_rosenbrock4", rosenbrock, 4, 18, noise=0.2),
        Pipeline("pipeline", 19),
        Pipeline("pipeline2", 20),
        Constrained("toy", 2, 0.5998, 2, toy),
        Constrained("beam", 4, 1.7249, 5, beam),
        Pareto("zdt2", 5, zdt2),
        Pareto("zdt3", 4, zdt3),
        Cells("cells", 21),
    ]
