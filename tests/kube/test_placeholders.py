"""The placeholder grammar of a trial's template, as in docs: what each string becomes, and what is refused with which words."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.errors import InvalidStudy
from rung.api.study import Parameter
from rung.kube.placeholders import Placeholder, Substitution, check_template, parse, render_template

VALUES: dict[str, str | None] = {
    "params.lr": "0.003",
    "params.width": "64",
    "params.momentum": None,
    "params.optimizer": "adam w/ 'quotes' $HOME; rm -rf /",
    "params": '{"lr": 0.003, "width": 64}',
    "resource.target": "27",
    "resource.fraction": "1",
    "trial.name": "digits-7",
    "trial.number": "7",
    "trial.checkpointDir": "/runs/digits-7",
    "trial.resumeFrom": None,
    "study.name": "digits",
}
SUBSTITUTION = Substitution(VALUES)


def rendered(template: Any, **options: Any) -> Any:
    return render_template(template, SUBSTITUTION, where="t", **options)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("--lr=$(params.lr)", "--lr=0.003", id="a parameter inside a string"),
        pytest.param("$(params.lr)$(params.width)", "0.00364", id="two placeholders side by side"),
        pytest.param("$(params.momentum:-0.9)", "0.9", id="an inactive parameter takes its fallback"),
        pytest.param("$(params.lr:-0.9)", "0.003", id="an active one does not"),
        pytest.param("m=$(params.momentum:-)", "m=", id="a fallback may be empty"),
        pytest.param(
            "$(params.momentum:-a:-b|c)", "a:-b|c", id="a fallback may hold the grammar's own signs but a conversion"
        ),
        pytest.param("$(params.width|int)", 64, id="a whole string becomes a number"),
        pytest.param("$(params.momentum:-4|int)", 4, id="a fallback becomes a number too"),
        pytest.param("$(params)", '{"lr": 0.003, "width": 64}', id="all parameters as JSON"),
        pytest.param("$(trial.name)/$(study.name)", "digits-7/digits", id="names of the trial and the study"),
        pytest.param("$(trial.resumeFrom)", "", id="no checkpoint to resume from is an empty string outside a list"),
        pytest.param("$$(params.lr)", "$(params.lr)", id="a doubled dollar is a literal"),
        pytest.param(
            "$$$(params.lr)", "$$0.003", id="an odd dollar count opens; the pairs before it are the kubelet's"
        ),
        pytest.param("$$$$(params.lr)", "$$$(params.lr)", id="an even dollar count is a literal"),
        pytest.param("$(HOME) $(POD_IP)", "$(HOME) $(POD_IP)", id="Kubernetes' references are left alone"),
        pytest.param("$$(HOME)", "$$(HOME)", id="and so are their escapes"),
        pytest.param("$(date) ${x} $x $ ( $(", "$(date) ${x} $x $ ( $(", id="shell text is left alone"),
        pytest.param(
            "$(paramsx) $(trial) $(study)", "$(paramsx) $(trial) $(study)", id="a prefix alone is no placeholder"
        ),
        pytest.param("no dollars", "no dollars", id="plain text"),
        pytest.param(5, 5, id="a number"),
        pytest.param(None, None, id="null"),
    ],
)
def test_what_a_string_becomes(text: Any, want: Any) -> None:
    assert rendered({"x": text}, kubelet=False) == {"x": want}


@pytest.mark.parametrize(
    ("elements", "want"),
    [
        pytest.param(
            ["--m=$(params.momentum)", "--lr=$(params.lr)"], ["--lr=0.003"], id="an inactive parameter's is dropped"
        ),
        pytest.param(["--resume=$(trial.resumeFrom)", "x"], ["x"], id="so is one that has nothing to resume from"),
        pytest.param(["$(params.momentum:-)", "x"], ["x"], id="a lone placeholder that renders empty is dropped"),
        pytest.param(["", "x"], ["", "x"], id="an empty string of the author's stays"),
        pytest.param(["a$(params.momentum:-)", "x"], ["a", "x"], id="text beside an empty fallback stays"),
        pytest.param([{"value": "$(params.lr)"}, ["$(params.momentum)"]], [{"value": "0.003"}, []], id="nested lists"),
        pytest.param(["$(params.width|int)", 3], [64, 3], id="a number in a list"),
    ],
)
def test_what_becomes_of_list_elements(elements: list[Any], want: list[Any]) -> None:
    assert rendered({"list": elements}) == {"list": want}


@pytest.mark.parametrize(
    ("template", "path", "words"),
    [
        pytest.param({"env": [{"value": "$(params.momentum)"}]}, "t.env[0].value", "give a fallback", id="no value"),
        pytest.param({"a": "$(params.lrr)"}, "t.a", "did you mean $(params.lr)?", id="a mistyped parameter"),
        pytest.param({"a": "$(param.lr)"}, "t.a", "did you mean $(params.lr)?", id="a mistyped prefix"),
        pytest.param({"a": "$(Params.LR)"}, "t.a", "did you mean $(params.lr)?", id="other capitals"),
        pytest.param({"a": "$(trial.checkpointdir)"}, "t.a", "$(trial.checkpointDir)", id="a mistyped field"),
        pytest.param({"a": "$(params.qqqqqqqq)"}, "t.a", "known are params.lr", id="nothing like it"),
        pytest.param({"a": "$(params.lr"}, "t.a", "closing parenthesis", id="not closed"),
        pytest.param({"a": "$(params.lr|float)"}, "t.a", "|int", id="another conversion"),
        pytest.param({"a": "x$(params.width|int)"}, "t.a", "nothing may stand beside it", id="|int within a text"),
        pytest.param({"a": "$(params.lr|int)"}, "t.a", "no whole number", id="|int of a fraction"),
        pytest.param({"a": "$(params.)"}, "t.a", "there is no params.", id="no name"),
        pytest.param({"l": {"$(params.lr)": 1}}, "t.l", "cannot be a key", id="a key"),
        pytest.param({"l": {"a.b/c": "$(params.z)"}}, "t.l[a.b/c]", "there is no", id="a path through a key with dots"),
    ],
)
def test_what_is_refused(template: Any, path: str, words: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        rendered(template)
    assert caught.value.field == path
    assert words in caught.value.message


def test_a_value_cannot_be_expanded_by_the_kubelet() -> None:
    substitution = Substitution({"params.x": "$(HOME)$$"})
    container = {
        "args": ["--x=$(params.x) $(VAR)"],
        "env": [{"name": "X", "value": "$(params.x)"}],
        "image": "i:$(params.x)",
    }
    assert render_template(container, substitution) == {
        "args": ["--x=$$(HOME)$$$$ $(VAR)"],
        "env": [{"name": "X", "value": "$$(HOME)$$$$"}],
        "image": "i:$(HOME)$$",
    }


def kubelet(text: str, environment: dict[str, str]) -> str:
    """What the kubelet makes of a string: k8s.io/kubernetes/third_party/forked/golang/expansion."""

    def expand(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", expand, text)


@given(value=st.text(max_size=40))
def test_whatever_a_value_holds_it_arrives_as_one_argument(value: str) -> None:
    made = render_template({"args": ["--x=$(params.x)", "end"]}, Substitution({"params.x": value}))
    assert [kubelet(arg, {"HOME": "/root"}) for arg in made["args"]] == [f"--x={value}", "end"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="$"), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="$"), max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_what_has_no_dollar_stays_as_it_is_and_the_original_too(template: Any) -> None:
    before = copy.deepcopy(template)
    assert rendered(template) == template == before


@given(st.text(alphabet="$()ab:|-.params", max_size=30))
def test_only_words_of_ours_leave_a_malformed_text(text: str) -> None:
    try:
        parts = parse(text)
    except InvalidStudy:
        return
    assert all(isinstance(part, str | Placeholder) for part in parts)
    if all(isinstance(part, str) for part in parts) and "params" not in text:
        assert "".join(str(part) for part in parts) == text


@given(names=st.lists(st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True), unique=True, min_size=1), data=st.data())
def test_rendering_is_substitution(names: list[str], data: st.DataObject) -> None:
    values: dict[str, str | None] = {
        f"params.{name}": data.draw(st.text(st.characters(exclude_characters="$"))) for name in names
    }
    text = " ".join(f"{name}=$(params.{name})" for name in names)
    want = " ".join(f"{name}={values[f'params.{name}']}" for name in names)
    assert render_template({"a": text}, Substitution(values)) == {"a": want}


def parameters() -> tuple[Parameter, ...]:
    documents: list[dict[str, Any]] = [
        {"name": "lr", "type": "Double", "min": "0", "max": "1"},
        {"name": "width", "type": "Int", "min": "1", "max": "9"},
        {"name": "batch", "type": "Ordinal", "values": ["16", "32"]},
        {"name": "rate", "type": "Ordinal", "values": ["0.5", "1"]},
        {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"]},
        {
            "name": "momentum",
            "type": "Double",
            "min": "0",
            "max": "1",
            "when": [{"parameter": "optimizer", "in": ["sgd"]}],
        },
    ]
    return tuple(Parameter.model_validate(document) for document in documents)


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({"args": ["--lr=$(params.lr)", "--m=$(params.momentum)"]}, id="a conditional one in a list"),
        pytest.param(
            {"env": [{"name": "M", "value": "$(params.momentum:-0)"}]}, id="a conditional one with a fallback"
        ),
        pytest.param({"args": ["--lr", "$(params.lr)"]}, id="an unconditional one after its flag"),
        pytest.param(
            {"args": ["--m", "$(params.momentum:-0.9)"]}, id="a conditional one with a fallback after its flag"
        ),
        pytest.param({"args": ["--resume=$(trial.resumeFrom)"]}, id="the resume point in one element"),
        pytest.param({"args": ["--", "$(params.momentum)"]}, id="after the end of options"),
        pytest.param({"args": ["run", "$(params.momentum)"]}, id="after a word"),
        pytest.param({"env": [{"name": "R", "value": "$(trial.resumeFrom)"}]}, id="the resume point in a variable"),
        pytest.param({"args": ["--n=$(resource.target)"]}, id="a resource that is not there, in a list"),
        pytest.param({"replicas": "$(params.width|int)"}, id="|int of an Int"),
        pytest.param({"replicas": "$(params.batch|int)"}, id="|int of whole Ordinal values"),
        pytest.param({"args": ["$$(params.nothing)"]}, id="an escaped name"),
    ],
)
def test_templates_that_are_accepted(template: Any) -> None:
    check_template(template, parameters())


@pytest.mark.parametrize(
    ("template", "path", "words"),
    [
        pytest.param({"args": ["--m", "$(params.momentum)"]}, "args[1]", '"--m=$(params.momentum)"', id="a flag alone"),
        pytest.param(
            {"args": ["-m", "$(params.momentum:-)"]}, "args[1]", "alone", id="a flag alone after an empty fallback"
        ),
        pytest.param({"args": ["--resume", "$(trial.resumeFrom)"]}, "args[1]", "--resume=", id="a resume flag alone"),
        pytest.param(
            {"args": ["--epochs", "$(resource.target)"]}, "args[1]", "--epochs=", id="no resource after its flag"
        ),
        pytest.param(
            {"image": "i:$(params.momentum)"}, "image", "inactive in some trials", id="a conditional one outside a list"
        ),
        pytest.param({"a": "$(resource.target)"}, "a", "spec.scheduler.resource", id="no resource"),
        pytest.param({"a": "$(trial.checkpointDir)"}, "a", "spec.trial.checkpoint", id="no checkpoint"),
        pytest.param({"a": "$(params.lr|int)"}, "a", "is a Double", id="|int of a Double"),
        pytest.param({"a": "$(params.rate|int)"}, "a", "'0.5' is no whole number", id="|int of a broken Ordinal value"),
        pytest.param({"a": "$(params.width:-x|int)"}, "a", "'x' is no whole number", id="|int of a broken fallback"),
        pytest.param({"a": "$(trial.name|int)"}, "a", "no whole number", id="|int of a name"),
        pytest.param({"a": "$(params.wdth)"}, "a", "did you mean $(params.width)?", id="an unknown name"),
    ],
)
def test_templates_that_are_refused_before_any_trial(template: Any, path: str, words: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        check_template(template, parameters(), where="spec.trial.podTemplate")
    assert caught.value.field == f"spec.trial.podTemplate.{path}"
    assert words in caught.value.message


def test_what_a_study_has_needs_no_fallback() -> None:
    template = {"a": "$(resource.target)", "args": ["--epochs", "$(resource.target)"], "b": "$(trial.checkpointDir)"}
    check_template(template, parameters(), has_resource=True, has_checkpoint=True)


def test_an_accepted_template_renders_with_and_without_the_conditional_parameter() -> None:
    template = json.loads('{"args": ["--m=$(params.momentum)", "--o=$(params.optimizer)"]}')
    check_template(template, parameters())
    with_it = Substitution({"params.momentum": "0.9", "params.optimizer": "sgd"})
    without = Substitution({"params.momentum": None, "params.optimizer": "adam"})
    assert render_template(template, with_it) == {"args": ["--m=0.9", "--o=sgd"]}
    assert render_template(template, without) == {"args": ["--o=adam"]}
