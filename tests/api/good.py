"""Studies that people might fear are bad."""

from __future__ import annotations

from tests.api.builders import ASHA, EPOCHS, LOSS, LR, WIDTH, WORDS, Case, good, in_yaml, parameters, pods, study, trial

NAMES = (
    "eval/loss",
    "recall@10",
    "mAP@0.5",
    "valid_1 auc",
    "Validation-accuracy",
    "rollout/ep_rew_mean",
    "loss (val)",
    "top 5%",
)

CASES: tuple[Case, ...] = (
    # --- good ones that people might fear are bad
    good("the smallest", study()),
    good(
        "whole numbers without quotes", parameters(WIDTH, {"name": "batch", "type": "Ordinal", "values": [16, 32, 64]})
    ),
    good(
        "conditions on whole numbers without quotes",
        parameters({"name": "n", "type": "Ordinal", "values": [1, 2]}, {**LR, "when": [{"parameter": "n", "in": [1]}]}),
    ),
    good("fewer trials than the default parallelism", study(limits={"trials": 2})),
    good("fewer trials than the allowed failures", study(limits={"trials": 3, "failedTrials": 6})),
    good("no failure allowed", study(limits={"failedTrials": 0})),
    good("GPU-hours as the only budget", study(limits={"gpuHours": 500})),
    good("half a GPU-hour", study(limits={"gpuHours": "0.5"})),
    good("a duration as the only budget", study(limits={"durationSeconds": 3600})),
    good("one value as a range", study(parameters=[{**LR, "min": 1, "max": 1}])),
    good("an Ordinal of one value", parameters({"name": "n", "type": "Ordinal", "values": [1]})),
    good("a space of one point", parameters({"name": "lr", "type": "Double", "value": "3e-4"})),
    good("a fixed value beside its range", study(parameters=[{**LR, "value": "0.01"}])),
    good("a fixed word", parameters(LR, {"name": "act", "type": "Categorical", "value": "gelu"})),
    good(
        "numbers in every spelling",
        parameters({**LR, "min": "+.5", "max": "1."}, {**LR, "name": "b", "min": "-1E-5", "max": 7}),
    ),
    good("quoted yes and no", in_yaml('parameters: [{name: lr, type: Categorical, values: ["yes", "no"]}]')),
    good("an empty word", parameters({**WORDS, "values": ["", "--fast"]})),
    good("a value of 128 characters", parameters({**WORDS, "values": ["v" * 128, "w"]})),
    good("64 values", parameters({**WORDS, "values": [f"v{i}" for i in range(64)]})),
    good("64 parameters", parameters(*({**LR, "name": f"p{i}"} for i in range(64)))),
    good("a name of 40 characters", study("s" * 40)),
    good("a name that begins with a digit", study("7b-lora")),
    good(
        "metric names as programs print them",
        study(objectives=[{**LOSS, "metric": name} for name in NAMES[:4]], metrics={"record": list(NAMES[4:])}),
    ),
    good(
        "a metric's name with a slash in an expression",
        study(objectives=[{**LOSS, "expression": "eval/loss + 1"}], metrics={"record": ["eval/loss"]}),
    ),
    good(
        "a resource without a scheduler",
        study(scheduler={"type": "None", "resource": {"metric": "step", "max": 20000}}),
    ),
    good("a resource of one step", study(scheduler={"type": "ASHA", "resource": {"min": 5, "max": 5}})),
    good(
        "a ladder that does not end evenly",
        study(scheduler={"type": "ASHA", "resource": {"metric": "epoch", "min": 2, "max": 25}, "eta": 4}),
    ),
    good("Hyperband with its own brackets", study(scheduler={"type": "Hyperband", "resource": EPOCHS, "brackets": 2})),
    good(
        "the median rule with options",
        study(scheduler={"type": "MedianStop", "resource": EPOCHS, "medianStop": {"startStep": 5, "minTrials": 1}}),
    ),
    good(
        "ASHA by another metric",
        study(scheduler={**ASHA, "mode": "Stop", "rankBy": {"metric": "val_loss", "direction": "Minimize"}}),
    ),
    good("empty sections", study(sampler={}, scheduler={}, limits={}, metrics={})),
    good(
        "sections that are null",
        study(sampler={"type": "Sobol", "cmaes": None}, scheduler={"type": "None", "eta": None}),
    ),
    good(
        "a grid larger than the number of trials",
        study(parameters=[{**LR, "step": "0.001"}], sampler={"type": "Grid"}, limits={"trials": 12}),
    ),
    good(
        "a grid with a fixed Double",
        parameters(WORDS, {"name": "lr", "type": "Double", "value": "0.1"}, sampler={"type": "Grid"}),
    ),
    good("a step that does not divide its range", study(parameters=[{**LR, "step": "0.03"}])),
    good("a condition on a bound", parameters(WIDTH, {**LR, "when": [{"parameter": "width", "min": 64}]})),
    good(
        "a condition on being there",
        parameters(
            WORDS, {**WIDTH, "when": [{"parameter": "opt", "in": ["sgd"]}]}, {**LR, "when": [{"parameter": "width"}]}
        ),
    ),
    good("a child before its parent", parameters({**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}, WORDS)),
    good(
        "a constraint on what may be inactive",
        parameters(WORDS, {**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}, parameterConstraints=["lr < 0.09"]),
    ),
    good(
        "a constraint on a Derived",
        parameters(LR, {"name": "d", "type": "Derived", "expression": "2 * lr"}, parameterConstraints=["d < 0.15"]),
    ),
    good(
        "an argument of an inactive parameter",
        parameters(WORDS, {**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}, template=pods("--lr=$(params.lr)")),
    ),
    good(
        "a fallback",
        parameters(
            WORDS, {**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}, template=pods("--lr", "$(params.lr:-0)")
        ),
    ),
    good("Kubernetes' own references and escapes", study(trial={"podTemplate": pods("$(HOME)", "$$(params.x)", "$5")})),
    good("a partial point", parameters(LR, WIDTH, warmStart={"points": [{"parameters": {"width": 32}}]})),
    good(
        "a known result outside the ranges",
        study(warmStart={"points": [{"parameters": {"lr": 7}, "values": {"loss": "0.3"}}]}),
    ),
    good(
        "exactly the listed points",
        study(sampler={"type": "List"}, warmStart={"points": [{"parameters": {"lr": "0.01"}}]}),
    ),
    good("a port without scraping", study(metrics={"source": "Log", "port": 9100})),
    good(
        "a line with every hole",
        study(metrics={"extract": [{"metric": "loss", "line": "Epoch <step>/<*> - [v1.0] <loss>: <value>%"}]}),
    ),
    good(
        "two quantiles of one histogram",
        study(
            metrics={
                "extract": [
                    {"metric": "loss", "key": "ttft_seconds", "quantile": "0.99"},
                    {"metric": "p50", "key": 'ttft_seconds{model="a"}', "quantile": "0.5"},
                ]
            }
        ),
    ),
    good("a series with labels", study(metrics={"extract": [{"metric": "loss", "key": 'loss{split="val"}'}]})),
    good(
        "a pod with all sorts of fields",
        study(trial={"podTemplate": pods(hostNetwork=True, nodeSelector={"a": "b"}, schedulingGates=[])}),
    ),
    good("labels of the Job", trial(metadata={"labels": {"kueue.x-k8s.io/queue-name": "team-a"}})),
    good("exit codes for what cannot work", trial(infeasible={"exitCodes": [65], "outOfMemory": True})),
    good("the largest seed", study(seed=2**53 - 1)),
    good(
        "two goals", study(objectives=[{**LOSS, "goal": "0.1"}, {"metric": "acc", "direction": "Maximize", "goal": 1}])
    ),
    good(
        "built-in metrics",
        study(
            objectives=[{"metric": "trial_seconds", "direction": "Minimize"}],
            constraints=[{"metric": "trial_gpu_seconds", "max": 100}],
        ),
    ),
)
