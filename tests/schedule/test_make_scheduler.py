from __future__ import annotations

from collections.abc import Mapping

import pytest

from rung.api.errors import InvalidStudy
from rung.api.study import Mode, PbtOptions, SchedulerType, StudySpec, parse_study
from rung.schedule import Entry, RungTable, Verdict, make_scheduler
from rung.schedule.rungs import thinning


def spec(scheduler: Mapping[str, object], *, direction: str = "Minimize") -> StudySpec:
    document = {
        "apiVersion": "rung.dev/v1alpha1",
        "kind": "Study",
        "metadata": {"name": "digits"},
        "spec": {
            "objectives": [{"metric": "score", "direction": direction}],
            "parameters": [{"name": "lr", "type": "Double", "min": "0.1", "max": "1"}],
            "scheduler": scheduler,
            "trial": {
                "checkpoint": {"persistentVolumeClaim": "runs"},
                "podTemplate": {"spec": {"containers": [{"name": "trial", "image": "digits:1"}]}},
            },
        },
    }
    return parse_study(document, strict=True).spec


EPOCHS = {"metric": "epoch", "max": 27}


@pytest.mark.parametrize(
    ("scheduler", "name", "rungs", "target"),
    [
        pytest.param({"type": "None"}, "NoScheduler", (), None, id="none, and no resource"),
        pytest.param({"type": "None", "resource": EPOCHS}, "NoScheduler", (), 27, id="none, but the length is known"),
        pytest.param({"type": "ASHA", "resource": EPOCHS}, "Asha", (1, 3, 9, 27), 27, id="ASHA: eta is 3 by default"),
        pytest.param({"type": "ASHA", "resource": EPOCHS, "eta": 9, "mode": "Stop"}, "Asha", (1, 9, 27), 27, id="eta"),
        pytest.param(
            {"type": "CurveExtrapolation", "resource": {"max": 4}},
            "CurveExtrapolation",
            (1, 2, 3, 4),
            4,
            id="curves are looked at at every step",
        ),
        pytest.param({"type": "PASHA", "resource": EPOCHS}, "Pasha", (1, 3, 9, 27), 27, id="PASHA"),
        pytest.param({"type": "HyperTune", "resource": EPOCHS}, "HyperTune", (1, 3, 9, 27), 27, id="HyperTune"),
        pytest.param(
            {"type": "Hyperband", "resource": {"metric": "epoch", "min": 3, "max": 9}},
            "Hyperband",
            (3, 9),
            9,
            id="Hyperband with a minimum",
        ),
        pytest.param(
            {"type": "SuccessiveHalving", "resource": EPOCHS, "eta": 2},
            "SuccessiveHalving",
            (1, 2, 4, 8, 16, 27),
            27,
            id="successive halving on an uneven ladder",
        ),
        pytest.param(
            {"type": "MedianStop", "resource": {"metric": "epoch", "min": 5, "max": 8}},
            "MedianStop",
            (5, 6, 7, 8),
            8,
            id="the median rule starts at resource.min",
        ),
        pytest.param(
            {"type": "PBT", "resource": {"max": 12}, "pbt": {"population": 4, "intervalSteps": 5}},
            "Pbt",
            (5, 10, 12),
            12,
            id="a population is compared at every interval",
        ),
        pytest.param(
            {"type": "PBT", "resource": {"max": 50}, "pbt": {"population": 4}},
            "Pbt",
            tuple(range(5, 51, 5)),
            50,
            id="ten times, if nobody says how often",
        ),
        pytest.param(
            {"type": "MedianStop", "medianStop": {"startStep": 2}},
            "MedianStop",
            thinning(2),
            None,
            id="the median rule needs no resource",
        ),
        pytest.param(
            {"type": "MedianStop", "resource": {"max": 4}, "medianStop": {"startStep": 2, "minTrials": 1}},
            "MedianStop",
            (2, 3, 4),
            4,
            id="or at startStep",
        ),
    ],
)
def test_what_a_study_gets(scheduler: dict[str, object], name: str, rungs: tuple[int, ...], target: int | None) -> None:
    made = make_scheduler(spec(scheduler))
    assert (type(made).__name__, made.rungs(made.bracket(0, RungTable())), made.target) == (name, rungs, target)


def test_without_a_scheduler_everything_goes_on() -> None:
    made = make_scheduler(spec({"type": "None"}))
    assert made.judge(RungTable(), Entry(0, 1, 0.5, 1), 0).verdict is Verdict.CONTINUE
    assert made.settle(RungTable(), 0, lambda _: pytest.fail("nobody is asked")) == []


@pytest.mark.parametrize(
    ("scheduler", "direction", "value", "want"),
    [
        pytest.param({}, "Minimize", 0.5, "epoch 1: score 0.5", id="the first objective"),
        pytest.param({}, "Maximize", -0.5, "epoch 1: score 0.5", id="maximised: turned back for people"),
        pytest.param(
            {"rankBy": {"metric": "val_loss", "direction": "Minimize"}},
            "Maximize",
            0.5,
            "epoch 1: val_loss 0.5",
            id="rankBy has its own name and direction",
        ),
    ],
)
def test_reasons_use_the_users_words(scheduler: dict[str, object], direction: str, value: float, want: str) -> None:
    made = make_scheduler(spec({"type": "ASHA", "resource": EPOCHS, **scheduler}, direction=direction))
    assert want in made.judge(RungTable(), Entry(0, 1, value, 1), 0).reason


def test_ashas_brackets_and_the_median_rules_minimum_are_taken_over() -> None:
    made = make_scheduler(spec({"type": "ASHA", "resource": EPOCHS, "brackets": 2}))
    assert {made.bracket(number, RungTable()) for number in range(50)} == {0, 1}
    made = make_scheduler(spec({"type": "MedianStop", "resource": {"max": 4}, "medianStop": {"minTrials": 1}}))
    table = RungTable.of([(Entry(0, 2, 0.1, 1), 0, Verdict.CONTINUE)])
    assert made.judge(table, Entry(1, 2, 0.5, 2, 0.4), 0).verdict is Verdict.STOP


def changed(**scheduler: object) -> StudySpec:
    """A spec that the API's own checks may never let through: the guard holds without them."""
    base = spec({"type": "ASHA", "resource": EPOCHS})
    return base.model_copy(update={"scheduler": base.scheduler.model_copy(update=scheduler)})


@pytest.mark.parametrize(
    ("changes", "field", "reason", "message"),
    [
        pytest.param({"resource": None}, "spec.scheduler.resource", "InvalidSpec", "give resource", id="no resource"),
        pytest.param({"eta": 1}, "spec.scheduler", "InvalidSpec", "eta of at least 2", id="an eta of one"),
        pytest.param({"brackets": 5}, "spec.scheduler", "InvalidSpec", "1 to 4 brackets, got 5", id="many brackets"),
        pytest.param({"mode": Mode.PROMOTE}, "spec.scheduler.mode", "NotImplemented", "use Stop", id="mode Promote"),
        pytest.param(
            {"type": SchedulerType.PB2}, "spec.scheduler.pbt", "InvalidSpec", "population is required", id="PB2"
        ),
        pytest.param(
            {"type": SchedulerType.PBT, "pbt": PbtOptions(population=4, interval_steps=99)},
            "spec.scheduler.pbt.intervalSteps",
            "InvalidSpec",
            "no comparison before",
            id="an interval that is never over",
        ),
    ],
)
def test_what_cannot_run_is_refused_with_its_field(
    changes: dict[str, object], field: str, reason: str, message: str
) -> None:
    with pytest.raises(InvalidStudy, match=message) as refused:
        make_scheduler(changed(**changes))
    assert (refused.value.field, refused.value.reason) == (field, reason)
