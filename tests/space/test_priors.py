"""Where good values are expected: each sampler follows it, no value is out of reach, and places stay exact."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, truncnorm

from rung.api.study import StudySpec
from rung.search import Request, make_sampler
from rung.space.build import build
from rung.space.dimensions import Dimension
from rung.space.priors import TAIL, Bend
from rung.space.space import Space
from tests.space.strategies import parameter, unit

means = st.floats(0, 1)
deviations = st.floats(1e-6, 100)


def dimension(type_: str, **fields: Any) -> Dimension:
    return build(parameter("x", type_, **fields), "spec.parameters[0]")


@given(means, deviations, unit())
def test_the_way_there_and_back_is_exact(mean: float, deviation: float, u: float) -> None:
    bend = Bend.of(mean, deviation, 0.0, 1.0)
    there = bend.place(u)
    assert 0 <= there <= 1
    assert bend.share(there) == pytest.approx(u, abs=1e-9 if deviation < 1e-4 else 1e-12)
    assert bend.place(bend.share(there)) == pytest.approx(there, abs=1e-12)


@given(means, deviations, unit(), unit())
def test_order_is_preserved_and_the_ends_are_kept(mean: float, deviation: float, u: float, v: float) -> None:
    bend = Bend.of(mean, deviation, 0.0, 1.0)
    assert bend.place(min(u, v)) <= bend.place(max(u, v))
    assert (bend.place(0.0), bend.place(1.0), bend.share(0.0), bend.share(1.0)) == (0.0, 1.0, 0.0, 1.0)


@given(means, st.floats(0.05, 5), st.floats(0.001, 0.999))
def test_within_three_deviations_it_is_the_truncated_normal(mean: float, deviation: float, v: float) -> None:
    want = truncnorm((0 - mean) / deviation, (1 - mean) / deviation, mean, deviation).cdf(v)
    got = Bend.of(mean, deviation, 0.0, 1.0).share(v)
    beyond = abs(v - mean) > TAIL * deviation
    assert got == pytest.approx(want, abs=0.003 if beyond else 1e-9)


@given(means, deviations, st.floats(0, 0.99))
def test_no_part_of_the_range_is_out_of_reach(mean: float, deviation: float, v: float) -> None:
    bend = Bend.of(mean, deviation, 0.0, 1.0)
    assert bend.share(v + 0.01) - bend.share(v) > 1e-5


@pytest.mark.parametrize(
    ("fields", "mean", "deviation", "forward"),
    [
        pytest.param({"min": 0, "max": 10}, 7.0, 1.5, float, id="linear"),
        pytest.param({"min": "1e-5", "max": "1e-1", "scale": "Log"}, 1e-3, 1.2, math.log, id="natural logarithms"),
        pytest.param(
            {"min": "0.9", "max": "0.9999", "scale": "ReverseLog"},
            0.99,
            0.9,
            lambda x: -math.log1p(-x),
            id="logarithms of the gap to 1",
        ),
    ],
)
@pytest.mark.parametrize("sampler", ["Random", "Sobol", "Halton"])
def test_samplers_follow_it_on_the_parameters_scale(
    sampler: str, fields: dict[str, Any], mean: float, deviation: float, forward: Any
) -> None:
    prior = {"mean": repr(mean), "deviation": repr(deviation)}
    spec = StudySpec.model_validate(
        {
            "objectives": [{"metric": "loss", "direction": "Minimize"}],
            "parameters": [{"name": "x", "type": "Double", **fields, "prior": prior}],
            "sampler": {"type": sampler},
            "trial": {"podTemplate": {"spec": {"containers": [{"name": "t", "image": "t"}]}}},
        }
    )
    space = Space.of(spec.parameters)
    drawn = make_sampler(spec, space)
    values = []
    for number in range(400):
        proposal = drawn.propose(Request(space, number, 3))
        assert proposal is not None
        values.append(forward(float(proposal.parameters["x"])))
    low, high = (forward(float(fields[end])) for end in ("min", "max"))
    m = forward(mean)
    want = truncnorm((low - m) / deviation, (high - m) / deviation, m, deviation)
    assert kstest(values, want.cdf).statistic < 0.07, "1.36 / sqrt(400) is the 5 % bound"


def test_a_lattice_keeps_its_points_and_its_parts_follow_the_prior() -> None:
    there = dimension("Double", min="0.01", max="0.05", step="0.01", prior={"mean": "0.03", "deviation": "0.01"})
    assert [there.at(k) for k in range(5)] == [0.01, 0.02, 0.03, 0.04, 0.05]
    shares = Counter(there.decode((i + 0.5) / 10_000) for i in range(10_000))
    edges = np.array([0.005, 0.015, 0.025, 0.035, 0.045, 0.055])
    want = np.diff(truncnorm(-2.5, 2.5, 0.03, 0.01).cdf(edges))
    got = [shares[there.at(k)] / 10_000 for k in range(5)]
    assert got == pytest.approx(list(want), abs=1e-3)


def test_integers_on_a_log_scale_follow_it_in_logarithms() -> None:
    there = dimension("Int", min=32, max=64, scale="Log", prior={"mean": 45, "deviation": "0.1155"})
    values = [math.log(float(there.decode((i + 0.5) / 2_000))) for i in range(2_000)]
    assert np.mean(values) == pytest.approx(math.log(45), abs=0.01)
    assert np.std(values) == pytest.approx(0.1155, rel=0.05)


def test_a_mean_behind_the_last_step_is_at_it() -> None:
    there = dimension("Int", min=0, max=9, step=4, prior={"mean": 9, "deviation": 1})
    assert there.decode(0.9) == 8


def test_a_range_of_one_value_may_have_one() -> None:
    assert dimension("Double", min=3, max=3, prior={"mean": 3, "deviation": 1}).decode(0.2) == 3.0
    assert dimension("Int", min=3, max=5, step=9, prior={"mean": 4, "deviation": 1}).decode(0.2) == 3
