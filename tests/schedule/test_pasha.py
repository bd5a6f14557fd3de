from __future__ import annotations

import numpy as np
import pytest

from rung.schedule.pasha import Pasha, agrees
from rung.schedule.protocol import Entry, RungTable, Verdict
from rung.schedule.wording import Wording
from tests.schedule.contract import METRIC, AsynchronousContract

GO, STOP = Verdict.CONTINUE, Verdict.STOP
WORDING = Wording(metric=METRIC, resource="epoch")


class TestPasha(AsynchronousContract):
    def make(self) -> Pasha:
        return Pasha(1, 27, 3, wording=WORDING)


class TestPashaOnALongLadder(AsynchronousContract):
    def make(self) -> Pasha:
        return Pasha(1, 32, 2, wording=WORDING)


@pytest.mark.parametrize(
    ("values", "want"),
    [
        pytest.param([[1, 1], [2, 2], [3, 3]], True, id="the same order"),
        pytest.param([[1, 2], [2, 1], [3, 3]], False, id="two changed places"),
        pytest.param([[1, 1], [1, 2]], True, id="a tie is no order"),
        pytest.param([[1.0, 1.1, 1.0, 1.1], [1.1, 1.0, 1.1, 1.0]], True, id="who keeps changing places is noise"),
        pytest.param(
            [[1.0, 1.1, 1.0, 1.0], [1.1, 1.0, 1.1, 1.1], [5.0, 5.0, 5.0, 9.0], [9.0, 9.0, 9.0, 5.0]], False,
            id="a gap that is wider than noise",
        ),
        pytest.param([[1e300, -1e300], [-1e300, 1e300]], False, id="enormous values"),
    ],
)  # fmt: skip
def test_when_ranks_agree(values: list[list[float]], want: bool) -> None:
    assert agrees(np.array(values, dtype=float)) is want


def table_of(curves: list[list[float]]) -> RungTable:
    """Trials 0, 1, … that have been at as many rungs as they have values."""
    entries = [
        (number, rung, value)
        for number, curve in enumerate(curves)
        for rung, value in zip((1, 3, 9, 27), curve, strict=False)
    ]
    return RungTable.of(
        (Entry(number, rung, value, order), 0, GO) for order, (number, rung, value) in enumerate(entries, 1)
    )


@pytest.mark.parametrize(
    ("curves", "rung", "value", "verdict"),
    [
        pytest.param([[1, 1], [2, 2], [3, 3]], 3, 0.5, GO, id="the best so far goes on beyond the top"),
        pytest.param([[1, 1], [2, 2], [3, 3]], 3, 1.5, STOP, id="where ranks agree the second of four stops"),
        pytest.param([[1, 3], [2, 1], [3, 2]], 3, 1.5, GO, id="where they changed ASHA's rule holds: two of four"),
        pytest.param([[1, 3], [2, 1], [3, 2]], 3, 2.5, STOP, id="and the third one stops"),
        pytest.param([[1, 3, 3], [2, 1, 1], [3, 2, 2]], 9, 1.5, STOP, id="ranks agree one rung further up"),
        pytest.param([[1, 1], [2, 2], [3, 3]], 1, 1.5, GO, id="below the top ASHA's rule holds"),
        pytest.param([], 3, 9.0, GO, id="the first one has nobody to lose against"),
    ],
)
def test_longer_training_is_for_ranks_that_still_change(
    curves: list[list[float]], rung: int, value: float, verdict: Verdict
) -> None:
    judgement = Pasha(1, 27, 3, wording=WORDING).judge(table_of(curves), Entry(9, rung, value, 100), 0)
    assert judgement.verdict is verdict


def test_a_stop_at_the_top_says_why() -> None:
    judgement = Pasha(1, 27, 3, wording=WORDING).judge(table_of([[1, 1], [2, 2], [3, 3]]), Entry(9, 3, 1.5, 100), 0)
    assert judgement.reason == (
        f"stopped at epoch 3: {METRIC} 1.5 is worse than 1, the limit of the best 1 of 4 "
        "while ranks agree at epoch 1 and 3"
    )
