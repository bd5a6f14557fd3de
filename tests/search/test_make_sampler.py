"""From a spec to its sampler: the types, the choice that Auto makes, and the enqueued points in front of each."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from rung.api.errors import InvalidStudy
from rung.api.sampler import SamplerType
from rung.api.study import Parameter, StudySpec
from rung.search import EnqueuedPoint, Proposal, Request, make_sampler
from rung.search.cmaes import CmaesSampler
from rung.search.enqueued import WithEnqueued
from rung.search.evolution import EvolutionSampler
from rung.search.gp.sampler import GPSampler
from rung.search.grid import GridSampler
from rung.search.halton import HaltonSampler
from rung.search.latin_hypercube import LatinHypercubeSampler
from rung.search.nsga2 import Nsga2Sampler
from rung.search.random import RandomSampler
from rung.search.random_forest import RandomForestSampler
from rung.search.reinforce import ReinforceSampler
from rung.search.sobol import SobolSampler
from rung.search.tpe import TPESampler
from rung.space.space import Space

LR = {"name": "lr", "type": "Double", "min": "0.001", "max": "0.1"}
DEPTH = {"name": "depth", "type": "Int", "min": "1", "max": "8"}
OPTIMIZER = {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"]}
MOMENTUM = {
    "name": "momentum", "type": "Double", "min": "0.5", "max": "0.9", "when": [{"parameter": "optimizer", "in": ["sgd"]}],
}  # fmt: skip


def spec(*parameters: dict[str, Any], **fields: Any) -> StudySpec:
    return StudySpec.model_validate({
        "objectives": [{"metric": "loss", "direction": "Minimize"}],
        "parameters": parameters,
        "trial": {"podTemplate": {"spec": {"containers": [{"name": "t", "image": "t"}]}}},
        **fields,
    })  # fmt: skip


def space_of(study: StudySpec) -> Space:
    return Space.of(study.parameters, study.parameter_constraints)


@pytest.mark.parametrize(
    ("parameters", "fields", "want"),
    [
        pytest.param([LR], {"sampler": {"type": "CMAES"}}, CmaesSampler, id="CMAES"),
        pytest.param(
            [LR], {"sampler": {"type": "CMAES", "startupTrials": 5, "cmaes": {"restarts": "BIPOP"}}}, CmaesSampler,
            id="CMAES with options",
        ),
        pytest.param([LR], {"sampler": {"type": "Evolution"}}, EvolutionSampler, id="Evolution"),
        pytest.param([LR], {"sampler": {"type": "NSGA2"}}, Nsga2Sampler, id="NSGA2"),
        pytest.param([LR], {"sampler": {"type": "Reinforce"}}, ReinforceSampler, id="Reinforce"),
        pytest.param([LR], {"sampler": {"type": "Random"}}, RandomSampler, id="Random"),
        pytest.param([LR], {"sampler": {"type": "Sobol"}}, SobolSampler, id="Sobol"),
        pytest.param([LR], {"sampler": {"type": "Halton"}}, HaltonSampler, id="Halton"),
        pytest.param([LR], {"sampler": {"type": "GP"}}, GPSampler, id="GP"),
        pytest.param([LR], {"sampler": {"type": "LatinHypercube"}}, LatinHypercubeSampler, id="LatinHypercube"),
        pytest.param([LR], {"sampler": {"type": "TPE"}}, TPESampler, id="TPE"),
        pytest.param([LR], {"sampler": {"type": "RandomForest"}}, RandomForestSampler, id="RandomForest"),
        pytest.param([DEPTH], {"sampler": {"type": "Grid"}}, GridSampler, id="Grid"),
        pytest.param([LR], {}, GPSampler, id="Auto on a continuous space"),
        pytest.param([DEPTH], {}, GridSampler, id="Auto where the default of 64 trials covers everything"),
        pytest.param([DEPTH], {"limits": {"trials": 8}}, GridSampler, id="Auto where the limit covers everything"),
        pytest.param([DEPTH], {"limits": {"gpuHours": "5"}}, GPSampler, id="Auto where time is the limit"),
        pytest.param([DEPTH], {"limits": {"trials": 7}}, SobolSampler, id="Auto where all trials are startup"),
        pytest.param(
            [LR], {"limits": {"trials": 20}, "sampler": {"startupTrials": 20}}, SobolSampler,
            id="Auto where the author wants as long a startup",
        ),
        pytest.param(
            [LR], {"limits": {"trials": 16, "parallelism": 16}}, SobolSampler, id="Auto where all trials run at once",
        ),
        pytest.param([LR], {"limits": {"trials": 17, "parallelism": 16}}, GPSampler, id="Auto where one can learn"),
        pytest.param([LR], {"limits": {"trials": 10_001}}, TPESampler, id="Auto for very many trials"),
        pytest.param([{**LR, "count": 201}], {}, TPESampler, id="Auto for very many parameters"),
        pytest.param(
            [LR], {"objectives": [{"metric": f"m{i}", "direction": "Minimize"} for i in range(4)]}, TPESampler,
            id="Auto for four objectives",
        ),
        pytest.param(
            [DEPTH], {"limits": {"trials": 23}, "repeats": {"count": 3}}, SobolSampler, id="Auto where repeats leave too few",
        ),
        pytest.param(
            [DEPTH], {"limits": {"trials": 24}, "repeats": {"count": 3}}, GridSampler, id="Auto where all can be repeated",
        ),
        pytest.param(
            [DEPTH], {"parameterConstraints": ["depth < 4"], "limits": {"trials": 3}}, GridSampler,
            id="Auto counts feasible points only",
        ),
    ],
)  # fmt: skip
def test_the_sampler_of_a_spec(parameters: list[dict[str, Any]], fields: dict[str, Any], want: type) -> None:
    study = spec(*parameters, **fields)
    sampler = make_sampler(study, space_of(study))
    assert type(sampler) is want
    assert sampler.learns is (
        want not in {RandomSampler, SobolSampler, HaltonSampler, GridSampler, LatinHypercubeSampler}
    )


def test_every_type_has_a_sampler() -> None:
    for kind in SamplerType:
        study = spec(DEPTH, sampler={"type": kind}, warmStart={"points": [{"parameters": {"depth": "3"}}]})
        assert make_sampler(study, space_of(study)).propose(Request(space_of(study), 0, 0)) is not None


@pytest.mark.parametrize(
    ("fields", "field", "message", "reason"),
    [
        pytest.param({"sampler": {"type": "Grid"}}, "spec.sampler.type", "give lr", "InvalidSpec", id="a continuous grid"),
        pytest.param({"sampler": {"type": "List"}}, "spec.sampler.type", "there are none", "InvalidSpec", id="empty list"),
        pytest.param(
            {"warmStart": {"points": [{"parameters": {}}, {"parameters": {"lr": "1"}}]}},
            "spec.warmStart.points[1].parameters.lr", "must be between", "InvalidSpec", id="a point out of range",
        ),
        pytest.param(
            {"warmStart": {"points": [{"parameters": {"lt": "1"}, "values": {"loss": "1"}}]}},
            "spec.warmStart.points[0].parameters.lt", "known are lr, momentum", "InvalidSpec", id="a misspelt known point",
        ),
        pytest.param(
            {"warmStart": {"points": [{"parameters": {"lr": "0.09"}}]}, "parameterConstraints": ["lr < 0.05"]},
            "spec.warmStart.points[0].parameters", "violates parameterConstraints[0]", "InvalidSpec",
            id="a point that no filling makes feasible",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_sampled_is_refused(fields: dict[str, Any], field: str, message: str, reason: str) -> None:
    study = spec(LR, OPTIMIZER, MOMENTUM, **fields)
    with pytest.raises(InvalidStudy) as caught:
        make_sampler(study, space_of(study))
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert message in caught.value.message


def proposals(study: StudySpec, n: int, *, enqueued: frozenset[int] = frozenset()) -> list[Proposal | None]:
    """What the first n trials of a study would be, given the points that trials exist for already."""
    space = space_of(study)
    sampler = make_sampler(study, space)
    taken: set[Hashable] = set()
    done, answers = set(enqueued), []
    for number in range(n):
        proposal = sampler.propose(Request(space, number, study.seed, (), taken, done))
        answers.append(proposal)
        if proposal is not None:
            taken.add(space.key(proposal.parameters))
            done |= set() if proposal.enqueued is None else {proposal.enqueued}
    return answers


class TestEnqueuedPoints:
    def points(self, *points: dict[str, Any], **fields: Any) -> StudySpec:
        return spec(LR, OPTIMIZER, MOMENTUM, warmStart={"points": points}, **fields)

    def test_they_come_first_in_order_and_then_the_sampler(self) -> None:
        study = self.points(
            {"parameters": {"lr": "0.0123456", "optimizer": "adam"}},
            {"parameters": {"lr": "0.02", "optimizer": "adam"}},
        )
        first, second, third = proposals(study, 3)
        assert first == Proposal({"lr": 0.0123456, "optimizer": "adam"}, enqueued=0)
        assert second == Proposal({"lr": 0.02, "optimizer": "adam"}, enqueued=1)
        assert third is not None
        assert third.enqueued is None

    @pytest.mark.parametrize("type_", [pytest.param(t, id=t) for t in ("Random", "Sobol", "Halton", "List")])
    def test_what_they_leave_open_is_filled_by_the_sampler(self, type_: str) -> None:
        study = self.points({"parameters": {"lr": "0.05"}}, sampler={"type": type_})
        (filled,) = proposals(study, 1)
        assert filled is not None
        assert filled.parameters["lr"] == 0.05
        assert "optimizer" in filled.parameters
        plain = proposals(spec(LR, OPTIMIZER, MOMENTUM, sampler={"type": type_}), 1)[0] if type_ != "List" else None
        if plain is not None:
            assert {**filled.parameters, "lr": 0} == {**plain.parameters, "lr": 0}

    def test_fillings_differ_by_number_and_seed(self) -> None:
        study = self.points({"parameters": {"lr": "0.05"}}, {"parameters": {"lr": "0.05"}})
        other = self.points({"parameters": {"lr": "0.05"}}, {"parameters": {"lr": "0.05"}}, seed=1)
        found = [p.parameters for p in (*proposals(study, 2), *proposals(other, 2)) if p is not None]
        assert len({tuple(parameters.items()) for parameters in found}) >= 3
        assert proposals(study, 2) == proposals(study, 2)

    def test_a_filling_makes_active_what_the_point_says(self) -> None:
        for seed in range(12):
            (filled,) = proposals(self.points({"parameters": {"momentum": "0.75"}}, seed=seed), 1)
            assert filled is not None
            assert filled.parameters["optimizer"] == "sgd"
            assert filled.parameters["momentum"] == 0.75

    def test_a_filling_keeps_to_the_constraints(self) -> None:
        for seed in range(12):
            study = self.points(
                {"parameters": {"optimizer": "sgd"}}, parameterConstraints=["lr < 0.02", "momentum > 0.8"], seed=seed
            )
            (filled,) = proposals(study, 1)
            assert filled is not None
            assert space_of(study).violation(filled.parameters) is None

    def test_known_points_bring_their_values_and_are_not_filled_in(self) -> None:
        study = self.points({"parameters": {"lr": "3e-4"}, "values": {"loss": "0.412"}}, {"parameters": {"lr": "0.1"}})
        first, second = proposals(study, 2)
        assert first == Proposal({"lr": 0.0003}, enqueued=0, values={"loss": 0.412})
        assert second is not None
        assert second.values is None

    def test_points_may_be_appended_while_the_study_runs(self) -> None:
        old, new = (
            {"parameters": {"lr": "0.05", "optimizer": "adam"}},
            {"parameters": {"lr": "0.06", "optimizer": "adam"}},
        )
        before, after = self.points(old), self.points(old, new)
        space = space_of(before)
        served = proposals(before, 5)
        taken = {space.key(p.parameters) for p in served if p is not None}
        again = make_sampler(after, space).propose(Request(space, 5, 0, (), taken, {0}))
        assert again == Proposal({"lr": 0.06, "optimizer": "adam"}, enqueued=1)

    def test_one_that_a_trial_exists_for_is_passed_over(self) -> None:
        same = {"parameters": {"lr": "0.05", "optimizer": "adam"}}
        first, second = proposals(self.points(same, same), 2)
        assert first is not None
        assert second is not None
        assert (first.enqueued, second.enqueued) == (0, None)

    def test_a_list_ends_with_its_last_point(self) -> None:
        points = [{"parameters": {"lr": "0.05"}}, {"parameters": {"lr": "0.06"}}]
        served = proposals(self.points(*points, sampler={"type": "List"}), 3)
        assert [None if p is None else p.enqueued for p in served] == [0, 1, None]

    def test_a_grid_still_visits_all_of_its_points(self) -> None:
        study = spec(DEPTH, warmStart={"points": [{"parameters": {"depth": "3"}}]}, sampler={"type": "Grid"})
        served = [None if p is None else p.parameters["depth"] for p in proposals(study, 9)]
        assert served == [3, 1, 2, 4, 5, 6, 7, 8, None]


def test_a_point_that_leaves_nothing_open_asks_no_sampler() -> None:
    space = Space.of([Parameter.model_validate({"name": "x", "type": "Double", "min": "0", "max": "1"})])

    class Silent:
        learns = True

        def propose(self, request: Request) -> Proposal | None:
            raise AssertionError("asked")

    sampler = WithEnqueued(Silent(), [EnqueuedPoint({"x": "0.5"}, None, "parameters")])
    assert sampler.propose(Request(space, 0, 0)) == Proposal({"x": 0.5}, enqueued=0)
