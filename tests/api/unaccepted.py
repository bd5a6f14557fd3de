"""Studies that pass an API server and become Accepted=False, each with the path of its field."""

from __future__ import annotations

from tests.api.builders import (
    ASHA,
    CLAIM,
    EPOCHS,
    LOSS,
    LR,
    PYTORCH,
    WIDTH,
    WORDS,
    Case,
    env,
    later,
    manifest,
    parameters,
    pods,
    study,
    trial,
    unaccepted,
)

CYCLE = [
    {**LR, "name": "a", "when": [{"parameter": "b"}]},
    {**LR, "name": "b", "when": [{"parameter": "c"}]},
    {**LR, "name": "c", "when": [{"parameter": "a"}]},
]
POPULATION = {"type": "PBT", "resource": EPOCHS, "pbt": {"population": 4}}

CASES: tuple[Case, ...] = (
    # --- what only Rung can see
    unaccepted(
        "fewer trials than repeats",
        study(repeats={"count": 3}, limits={"trials": 2}),
        "spec.limits.trials",
        "repeats count too",
    ),
    *(
        unaccepted(
            f"a population {what}",
            study(scheduler={**POPULATION, **scheduler}, trial={"podTemplate": pods(), "checkpoint": CLAIM}, **more),
            field,
            *words,
        )
        for what, scheduler, more, field, words in (
            ("with repeats", {}, {"repeats": {"count": 2}}, "spec.repeats", ("PBT knows no repeats",)),
            ("of a bandit with repeats", {"type": "PB2"}, {"repeats": {"count": 2}}, "spec.repeats", ("PB2 knows no",)),
            (
                "that is never compared",
                {"pbt": {"population": 4, "intervalSteps": 999}},
                {},
                "spec.scheduler.pbt.intervalSteps",
                ("no comparison before",),
            ),
            (
                "that is compared too often",
                {"resource": {"max": 1000}, "pbt": {"population": 4, "intervalSteps": 1}},
                {},
                "spec.scheduler.pbt.intervalSteps",
                ("32 are possible", "compare every 32 steps"),
            ),
        )
    ),
    unaccepted("conditions in a circle", parameters(LR, *CYCLE), "spec.parameters[1]", "a -> b -> c -> a"),
    unaccepted(
        "two Derived that need each other",
        parameters(
            LR,
            {"name": "a", "type": "Derived", "expression": "b + 1"},
            {"name": "b", "type": "Derived", "expression": "a + 1"},
        ),
        "spec.parameters[1]",
        "depends on itself",
    ),
    unaccepted(
        "an expression with an unknown name",
        parameters(LR, {"name": "d", "type": "Derived", "expression": "2 * rl"}),
        "spec.parameters[1].expression",
        "'rl'",
        "lr",
    ),
    unaccepted(
        "an expression that ends too early",
        parameters(LR, {"name": "d", "type": "Derived", "expression": "2 *"}),
        "spec.parameters[1].expression",
    ),
    unaccepted(
        "an expression that is a program",
        parameters(LR, {"name": "d", "type": "Derived", "expression": "__import__('os').getpid()"}),
        "spec.parameters[1].expression",
        "__import__",
    ),
    unaccepted(
        "an unknown function",
        parameters(LR, {"name": "d", "type": "Derived", "expression": "sin(lr)"}),
        "spec.parameters[1].expression",
        "sin",
    ),
    unaccepted(
        "C's and in an expression",
        study(parameterConstraints=["lr > 0 && lr < 1"]),
        "spec.parameterConstraints[0]",
        "and",
    ),
    unaccepted(
        "a constraint on what is not there",
        study(parameterConstraints=["batch <= 4"]),
        "spec.parameterConstraints[0]",
        "batch",
    ),
    unaccepted("constraints that leave nothing", study(parameterConstraints=["lr > 1"]), "spec.parameterConstraints"),
    unaccepted(
        "an objective computed wrongly",
        study(objectives=[{**LOSS, "expression": "1 -"}]),
        "spec.objectives[0].expression",
    ),
    unaccepted(
        "a condition on a value that never comes",
        parameters(WORDS, {**LR, "when": [{"parameter": "opt", "in": ["sdg"]}]}),
        "spec.parameters[1].when[0].in[0]",
        "sgd",
    ),
    unaccepted(
        "a bound on words",
        parameters(WORDS, {**LR, "when": [{"parameter": "opt", "min": 3}]}),
        "spec.parameters[1].when[0].min",
        "opt",
    ),
    unaccepted(
        "a condition the wrong way round",
        parameters(WIDTH, {**LR, "when": [{"parameter": "width", "min": 30, "max": 20}]}),
        "spec.parameters[1].when[0].min",
        "30",
    ),
    unaccepted(
        "a value twice", parameters({**WORDS, "values": ["sgd", "sgd"]}), "spec.parameters[0].values[1]", "twice"
    ),
    unaccepted(
        "a number twice in two spellings",
        parameters({"name": "n", "type": "Ordinal", "values": ["1", "1.0"]}),
        "spec.parameters[0].values[1]",
        "twice",
    ),
    unaccepted(
        "a fixed value outside its range", study(parameters=[{**LR, "value": 2}]), "spec.parameters[0].value", "2"
    ),
    unaccepted(
        "a fixed value that is not in its list",
        parameters({**WORDS, "value": "lion"}),
        "spec.parameters[0].value",
        "lion",
    ),
    unaccepted(
        "a fixed Double that is no number",
        study(parameters=[{"name": "lr", "type": "Double", "value": "fast"}]),
        "spec.parameters[0].value",
        "fast",
    ),
    unaccepted(
        "a point outside the space",
        study(warmStart={"points": [{"parameters": {"lr": 3}}]}),
        "spec.warmStart.points[0].parameters.lr",
        "3",
    ),
    unaccepted(
        "a placeholder for what is not there",
        study(trial={"podTemplate": pods("--lr=$(params.rl)")}),
        "spec.trial.podTemplate.spec.containers[0].args[0]",
        "$(params.rl)",
        "lr",
    ),
    unaccepted(
        "a placeholder with a slip",
        study(trial={"podTemplate": pods("--lr=$(param.lr)")}),
        "spec.trial.podTemplate.spec.containers[0].args[0]",
        "params",
    ),
    unaccepted(
        "a placeholder of another program",
        study(trial={"podTemplate": pods("--lr=$(trialParameters.lr)")}),
        "spec.trial.podTemplate.spec.containers[0].args[0]",
        "params",
    ),
    unaccepted(
        "a target without a resource",
        study(trial={"podTemplate": env("$(resource.target)")}),
        "spec.trial.podTemplate.spec.containers[0].env[0].value",
        "resource",
    ),
    unaccepted(
        "a checkpoint folder without checkpoints",
        study(trial={"podTemplate": env("$(trial.checkpointDir)")}),
        "spec.trial.podTemplate.spec.containers[0].env[0].value",
        "checkpoint",
    ),
    unaccepted(
        "a variable of a parameter that may be inactive",
        parameters(WORDS, {**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}, template=env("$(params.lr)")),
        "spec.trial.podTemplate.spec.containers[0].env[0].value",
        "lr",
        ":-",
    ),
    unaccepted(
        "an option and its value apart",
        parameters(WORDS, {**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}, template=pods("--lr", "$(params.lr)")),
        "spec.trial.podTemplate.spec.containers[0].args[1]",
        "--lr=",
    ),
    unaccepted(
        "pods that restart by themselves",
        study(trial={"podTemplate": pods(restartPolicy="Always")}),
        "spec.trial.podTemplate.spec.restartPolicy",
        "Never",
    ),
    unaccepted(
        "metrics of a container that is not there",
        study(metrics={"container": "train"}),
        "spec.metrics.container",
        "trial",
    ),
    unaccepted(
        "more elements than a trial's record holds",
        parameters({**WORDS, "count": 200}, {**LR, "count": 57}),
        "spec.parameters[1].count",
        "256",
    ),
    unaccepted(
        "as many as nothing says", parameters({**WORDS, "count": "widht"}, WIDTH), "spec.parameters[0].count", "'width'"
    ),
    unaccepted(
        "as many as a learning rate", parameters(LR, {**WORDS, "count": "lr"}), "spec.parameters[1].count", "Double"
    ),
    unaccepted(
        "as many as an array",
        parameters({**WIDTH, "count": 2}, {**WORDS, "count": "width"}),
        "spec.parameters[1].count",
        "is an array",
    ),
    unaccepted(
        "never one element",
        parameters({"name": "n", "type": "Int", "min": -3, "max": 0}, {**WORDS, "count": "n"}),
        "spec.parameters[1].count",
        "never above 0",
    ),
    unaccepted(
        "an element with a name that is taken",
        parameters({**WORDS, "count": 3}, {**LR, "name": "opt_2"}),
        "spec.parameters[0].name",
        "'opt_2'",
        "parameters[1]",
    ),
    unaccepted(
        "a condition on an array",
        parameters({**WORDS, "count": 3}, {**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}),
        "spec.parameters[1].when[0].parameter",
        "'opt_0'",
    ),
    unaccepted(
        "a condition on an element that is not there",
        parameters({**WORDS, "count": 3}, {**LR, "when": [{"parameter": "opt_3", "in": ["sgd"]}]}),
        "spec.parameters[1].when[0].parameter",
        "'opt_3'",
    ),
    unaccepted(
        "a point with an element that is not there",
        parameters({**WORDS, "count": 3}, warmStart={"points": [{"parameters": {"opt_3": "sgd"}}]}),
        "spec.warmStart.points[0].parameters.opt_3",
        "opt_",
    ),
    unaccepted(
        "an array as a number",
        parameters({**WIDTH, "count": 3}, template=pods("$(params.width|int)")),
        "spec.trial.podTemplate.spec.containers[0].args[0]",
        "array",
    ),
    unaccepted(
        "a prior around what never comes",
        study(parameters=[{**LR, "prior": {"mean": 1, "deviation": "0.01"}}]),
        "spec.parameters[0].prior.mean",
        "between min and max",
    ),
    unaccepted(
        "a prior that is a point",
        study(parameters=[{**LR, "prior": {"mean": "0.01", "deviation": "1e-20"}}]),
        "spec.parameters[0].prior.deviation",
        "fix the value",
    ),
    # --- what is to come
    later(
        "mode Promote",
        study(scheduler={**ASHA, "mode": "Promote"}, trial={"podTemplate": pods(), "checkpoint": CLAIM}),
        "spec.scheduler.mode",
    ),
    later("metrics from a file", study(metrics={"source": "File", "file": {"path": "/x"}}), "spec.metrics.source"),
    later("another kind", manifest(PYTORCH), "spec.trial.manifest"),
    later(
        "checkpoints of the best alone", trial(checkpoint={**CLAIM, "retain": "Best"}), "spec.trial.checkpoint.retain"
    ),
    later("a priority for the promoted", trial(promotedPriorityClass="high"), "spec.trial.promotedPriorityClass"),
)
