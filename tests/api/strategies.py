"""Studies for property tests: any combination of parts that are valid by themselves and together."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.api.builders import CLAIM, WORDS, Document, pods, study

numbers = st.integers(-1000, 1000)
decimals = numbers | numbers.map(str) | st.sampled_from(["1e-4", "0.05", "+.5", "1.", "-2.5E3"])


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Document:
    kind = draw(st.sampled_from(["Double", "Int", "Ordinal", "Categorical"]))
    made: dict[str, Any] = {"name": name, "type": kind}
    if kind in {"Double", "Int"}:
        low = draw(st.integers(1, 100))
        made |= {"min": low, "max": str(low + draw(st.integers(0, 100)))}
        if draw(st.booleans()):
            made["step"] = draw(st.integers(1, 5))
        if draw(st.booleans()):
            made["scale"] = draw(st.sampled_from(["Linear", "Log"]))
    else:
        made["values"] = draw(st.lists(st.integers(0, 99) | st.text("abc-_", max_size=4), min_size=1, max_size=4))
    if draw(st.booleans()):
        made["when"] = [{"parameter": "opt", "in": ["sgd"]}]
    if draw(st.booleans()):
        made["role"] = draw(st.sampled_from(["Scientific", "Nuisance"]))
    return made


@st.composite
def studies(draw: st.DrawFn) -> Document:
    made = [WORDS, *(draw(parameters(f"p{i}")) for i in range(draw(st.integers(0, 4))))]
    fields: dict[str, Any] = {
        "seed": draw(st.integers(0, 2**53 - 1)),
        "suspend": draw(st.booleans()),
        "limits": {"trials": draw(st.integers(1, 1000)), "parallelism": draw(st.integers(1, 64))},
        "metrics": {"source": draw(st.sampled_from(["Auto", "Http", "Log"])), "record": ["acc"]},
    }
    if draw(st.booleans()):
        fields["scheduler"] = {"type": "ASHA", "resource": {"min": 1, "max": 27}, "eta": draw(st.integers(2, 9))}
    if draw(st.booleans()):
        fields["constraints"] = [{"metric": "mem", "max": draw(decimals)}]
    if draw(st.booleans()):
        fields["warmStart"] = {"points": [{"parameters": {"opt": "sgd"}, "values": {"loss": draw(decimals)}}]}
    trial: dict[str, Any] = {"podTemplate": pods("$(params.opt)")}
    if draw(st.booleans()):
        codes = draw(st.lists(st.integers(1, 99), unique=True, max_size=16))
        trial |= {"checkpoint": CLAIM, "infeasible": {"exitCodes": codes}}
    return study(parameters=made, trial=trial, **fields)
