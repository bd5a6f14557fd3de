"""Parameter lists as users write them: each is a space, each proposal of it is feasible, and the numbers are the expected ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from rung.api.study import Parameter
from rung.space.space import Space

SCENARIOS = [
    pytest.param("""
parameters: [{name: kernel, type: Categorical, values: [linear, rbf]}, {name: C, type: Ordinal, values: [1, 10]}]
""", 4, 2, id="grid search of a support vector machine"),
    pytest.param("""
parameters:
  - {name: lr, type: Double, min: "1e-5", max: "1e-1", scale: Log}
  - {name: layers, type: Int, min: 2, max: 12}
  - {name: precision, type: Ordinal, values: [int8, fp16, fp32]}
  - {name: act, type: Categorical, values: [relu, gelu, silu]}
  - {name: warmup, type: Int, value: 500}
  - {name: drop, type: Double, min: 0, max: "0.5", when: [{parameter: layers, min: 4}]}
parameterConstraints: ['not (precision == "int8" and act == "silu")']
""", None, 5, id="all types, a condition and a forbidden pair"),
    pytest.param("""
parameters:
  - {name: phi, type: Int, value: 1}
  - {name: alpha, type: Double, min: 1, max: "1.4", step: "0.05"}
  - {name: beta, type: Double, min: 1, max: "1.3", step: "0.05"}
  - {name: gamma, type: Derived, expression: "sqrt(2 / (alpha * beta ** 2))"}
  - {name: depth, type: Derived, expression: "ceil(18 * alpha ** phi)"}
  - {name: resolution, type: Derived, expression: "32 * round(224 * gamma ** phi / 32)"}
parameterConstraints: ["gamma >= 1"]
""", 63, 2, id="compound scaling"),
    pytest.param("""
parameters:
  - {name: optimizer, type: Categorical, values: [sgd, momentum, adagrad, adadelta, rmsprop, adam, nadam]}
  - {name: lr_high, type: Double, min: "1e-2", max: "1e-1", scale: Log, when: [{parameter: optimizer, in: [sgd, adadelta]}]}
  - {name: lr_low, type: Double, min: "1e-3", max: "1e-2", scale: Log, when: [{parameter: optimizer, in: [momentum, adagrad, rmsprop, adam, nadam]}]}
  - {name: lr, type: Derived, expression: "coalesce(lr_high, lr_low)"}
  - {name: momentum, type: Double, min: "0.5", max: "0.99", scale: ReverseLog, when: [{parameter: optimizer, in: [momentum]}]}
  - {name: batch, type: Ordinal, values: [32, 64, 128, 256, 512, 1024]}
  - {name: dropout, type: Double, min: 0, max: "0.5"}
  - {name: weight_decay, type: Double, min: 0, max: "1e-4"}
  - {name: kernel, type: Categorical, values: [7x7, 5x5, 3x3, 1x1, "7x1,1x7"]}
""", None, 8, id="a learning rate whose range depends on the optimiser"),
    pytest.param("""
parameters:
  - {name: model, type: Categorical, values: [svm, forest, boost]}
  - {name: kernel, type: Categorical, values: [linear, rbf], when: [{parameter: model, in: [svm]}]}
  - {name: gamma, type: Double, min: "1e-4", max: 1, scale: Log, when: [{parameter: kernel, in: [rbf]}]}
  - {name: forest_depth, type: Int, min: 2, max: 32, when: [{parameter: model, in: [forest]}]}
  - {name: boost_depth, type: Int, min: 2, max: 10, when: [{parameter: model, in: [boost]}]}
  - {name: depth, type: Derived, expression: "coalesce(forest_depth, boost_depth)"}
""", None, 5, id="nested conditions"),
    pytest.param("""
parameters:
  - {name: r, type: Ordinal, values: [8, 16, 32, 64, 128]}
  - {name: alpha, type: Derived, expression: "2 * r"}
  - {name: lr, type: Double, min: "1e-5", max: "1e-3", scale: Log}
  - {name: targets, type: Categorical, values: ["q_proj,v_proj", "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"]}
  - {name: micro_batch, type: Ordinal, values: [1, 2, 4, 8]}
  - {name: grad_accum, type: Derived, expression: "128 // (8 * micro_batch)"}
""", None, 4, id="low-rank adapters"),
    pytest.param("""
parameters: [{name: lr, type: Double, min: "0.01", max: "0.05", step: "0.005"}, {name: momentum, type: Double, min: "0.5", max: "0.9", step: "0.1"}]
""", 45, 2, id="a grid of two numbers with steps"),
    pytest.param("""
parameters: [{name: ranks, type: Ordinal, values: [8, 16, 32, 64]}, {name: threads, type: Derived, expression: "64 // ranks"}, {name: smoother, type: Categorical, values: [gs, jacobi]}]
""", 8, 2, id="ranks times threads"),
    pytest.param("""
parameters: [{name: arch_lr, type: Double, value: "3e-4"}]
""", 1, 0, id="a single point"),
]  # fmt: skip


def space_of(text: str) -> Space:
    document: dict[str, Any] = yaml.safe_load(text)
    parameters = [Parameter.model_validate(parameter) for parameter in document["parameters"]]
    return Space.of(parameters, document.get("parameterConstraints", []))


@pytest.mark.parametrize(("text", "size", "d"), SCENARIOS)
def test_it_is_a_space_whose_proposals_hold_together(text: str, size: int | None, d: int) -> None:
    space = space_of(text)
    assert space.d == d
    assert space.grid_size() == size
    feasible = 0
    for u in np.random.default_rng(0).random((50, space.d)):
        assignment = space.decode(u)
        assert space.parse(space.render(assignment)) == assignment
        feasible += space.is_feasible(assignment)
    assert feasible > 10


def test_compound_scaling_renders_whole_numbers() -> None:
    space = space_of(SCENARIOS[2].values[0])  # type: ignore[arg-type]
    point = {"alpha": "1.2", "beta": "1.1"}
    assert space.render(space.complete(point, [0.5, 0.5])) == {
        "phi": "1", "alpha": "1.2", "beta": "1.1", "gamma": "1.1736313170325505", "depth": "22", "resolution": "256",
    }  # fmt: skip


def test_the_learning_rate_is_the_optimisers() -> None:
    space = space_of(SCENARIOS[3].values[0])  # type: ignore[arg-type]
    u = [0.5] * space.d
    assert space.complete({"optimizer": "sgd"}, u)["lr"] == 0.03162
    adam = space.complete({"optimizer": "adam"}, u)
    assert adam["lr"] == adam["lr_low"] == 0.003162
    assert "momentum" not in adam
    assert "momentum" in space.complete({"optimizer": "momentum"}, u)


def test_a_depth_that_no_model_has_is_inactive() -> None:
    space = space_of(SCENARIOS[4].values[0])  # type: ignore[arg-type]
    u = [0.5] * space.d
    assert space.complete({"model": "svm", "kernel": "linear"}, u) == {"model": "svm", "kernel": "linear"}
    assert space.complete({"model": "boost"}, u) == {"model": "boost", "boost_depth": 6, "depth": 6}
