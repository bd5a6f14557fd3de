"""The sequences behind the samplers: even, random where they say so, and the same however they are asked."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from rung.api.errors import InvalidStudy
from rung.search import Request, sequences
from rung.search.random import RandomSampler
from rung.search.randomness import generator
from rung.search.sequences import SOBOL_DIMENSIONS, Points, halton, sobol, uniform
from rung.search.sobol import SobolSampler
from rung.space.space import Space
from tests.space.strategies import parameter

SEQUENCES = [pytest.param(f, id=f.__name__) for f in (uniform, sobol, halton)]
EVEN = [pytest.param(f, id=f.__name__) for f in (sobol, halton)]


def points(sequence: Points, seed: int, d: int, n: int, attempt: int = 0) -> np.ndarray:
    """The first n points of a sequence, at one of the tries."""
    return np.array([next(itertools.islice(sequence(seed, d, i), attempt, None)) for i in range(n)])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_point_is_the_same_whatever_was_asked_before(sequence: Points) -> None:
    in_order = [next(sequence(3, 5, n)) for n in range(2100)]
    assert [next(sequence(3, 5, n)) for n in (2099, 1024, 0, 1023, 7)] == [
        in_order[n] for n in (2099, 1024, 0, 1023, 7)
    ]


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("attempt", [pytest.param(0, id="the point itself"), pytest.param(70, id="a further try")])
def test_each_coordinate_is_uniform(sequence: Points, attempt: int) -> None:
    for column in points(sequence, 11, 3, 512, attempt).T:
        assert stats.kstest(column, "uniform").pvalue > 0.01


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_no_two_coordinates_go_together(sequence: Points) -> None:
    correlation = np.corrcoef(points(sequence, 5, 6, 1024).T)
    assert np.abs(correlation - np.eye(6)).max() < 0.1


@pytest.mark.parametrize("sequence", EVEN)
@pytest.mark.parametrize("d", [pytest.param(d, id=f"{d} dimensions") for d in (1, 2, 5, 10)])
@pytest.mark.parametrize("n", [pytest.param(n, id=f"{n} points") for n in (64, 256)])
def test_it_is_more_even_than_random_points(sequence: Points, d: int, n: int) -> None:
    def unevenness(of: Points) -> float:
        return float(np.mean([qmc.discrepancy(points(of, seed, d, n)) for seed in range(8)]))

    assert unevenness(sequence) < 0.8 * unevenness(uniform)


@pytest.mark.parametrize("sequence", EVEN)
def test_a_further_try_is_as_even_as_the_first(sequence: Points) -> None:
    def unevenness(of: Points, attempt: int) -> float:
        return float(np.mean([qmc.discrepancy(points(of, seed, 3, 128, attempt)) for seed in range(8)]))

    assert unevenness(sequence, 5) < 0.5 * unevenness(uniform, 0)


def test_sobol_points_lie_one_in_each_of_n_equal_parts() -> None:
    for column in points(sobol, 1, 8, 256).T:
        assert sorted((column * 256).astype(int)) == list(range(256))


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_seeds_and_tries_differ(sequence: Points) -> None:
    columns = {tuple(points(sequence, seed, 2, 64, attempt).flat) for seed in (0, 1, 2) for attempt in (0, 1)}
    assert len(columns) == 6


def test_random_points_of_different_seeds_and_tries_do_not_go_together() -> None:
    columns = [points(uniform, seed, 1, 512, attempt)[:, 0] for seed in (0, 1) for attempt in (0, 1)]
    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 0.15


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_far_points_are_in_reach(sequence: Points) -> None:
    assert all(0 <= x < 1 for x in next(sequence(0, 4, 2**22 + 3)))


def test_halton_points_in_base_two_lie_one_in_each_of_n_equal_parts() -> None:
    first = points(halton, 1, 1, 256)[:, 0]
    assert sorted((first * 256).astype(int)) == list(range(256))


def test_too_many_dimensions_for_sobol_are_refused_with_a_way_out() -> None:
    with pytest.raises(InvalidStudy, match="at most 256 searched parameters, got 257; use Random"):
        sobol(0, SOBOL_DIMENSIONS + 1, 0)


def test_generators_depend_on_each_part_of_their_key() -> None:
    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"), (-1, 0, "a"), (2**32, 0, "a"), (0, 2**32, "a")]
    assert len({generator(*key).random() for key in keys}) == len(keys)
    assert generator(5, 7, "x").random(3).tolist() == generator(5, 7, "x").random(3).tolist()


@pytest.mark.parametrize("sampler", [pytest.param(s, id=type(s).__name__) for s in (RandomSampler(), SobolSampler())])
def test_all_values_of_a_choice_are_proposed_equally_often(sampler: RandomSampler | SobolSampler) -> None:
    space = Space.of(
        [parameter("c", "Categorical", values=["a", "b", "c", "d", "e"]), parameter("x", "Double", min=0, max=1)]
    )
    proposals = [sampler.propose(Request(space, n, 3)) for n in range(1000)]
    counted = Counter(p.parameters["c"] for p in proposals if p is not None)
    assert stats.chisquare(list(counted.values())).pvalue > 0.01
    assert len(counted) == 5


@pytest.mark.parametrize("d", [pytest.param(d, id=f"{d} dimensions") for d in (1, 2, 7, 40, SOBOL_DIMENSIONS)])
def test_sobol_points_are_scipys(d: int) -> None:
    engine = qmc.Sobol(d, scramble=True, rng=generator(9, 0, "sobol"))
    theirs = engine.random(2048)
    for n in (0, 1, 2, 255, 1024, 2047):
        assert next(sobol(9, d, n)) == theirs[n].tolist()


def test_only_samplers_that_need_scipy_import_it() -> None:
    source = Path(sequences.__file__).parents[2]
    script = f"""import sys; sys.path.insert(0, {str(source)!r})
from rung.search.sequences import sobol; next(sobol(1, 8, 5)); sys.exit('scipy' in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
