"""Studies whose search an API server refuses: names, objectives, parameters, sampler, scheduler."""

from __future__ import annotations

from tests.api.builders import LOSS, LR, WIDTH, WORDS, Case, in_yaml, parameters, refused, study

CASES: tuple[Case, ...] = (
    # --- names
    refused("a dot in the name", study("a.b"), "metadata.name", "metadata.name must be a DNS label", "no dots"),
    refused("a name of 41 characters", study("s" * 41), "metadata.name", "has 41 characters; at most 40"),
    refused("capitals in the name", study("Digits"), "metadata.name", "lower case"),
    # --- objectives and constraints
    refused("no objectives", study(objectives=None), "spec.objectives"),
    refused("an empty list of objectives", study(objectives=[]), "spec.objectives", "at least 1 item"),
    refused(
        "five objectives",
        study(objectives=[{**LOSS, "metric": f"m{i}"} for i in range(5)]),
        "spec.objectives",
        "at most 4 items",
    ),
    refused(
        "an objective without a metric", study(objectives=[{"direction": "Minimize"}]), "spec.objectives[0].metric"
    ),
    refused("an objective without a direction", study(objectives=[{"metric": "loss"}]), "spec.objectives[0].direction"),
    refused(
        "a British direction",
        study(objectives=[{"metric": "loss", "direction": "Minimise"}]),
        "spec.objectives[0].direction",
        "Minimise",
        "Maximize",
    ),
    refused("a goal without quotes", study(objectives=[{**LOSS, "goal": 0.05}]), "spec.objectives[0].goal"),
    refused(
        "one metric twice", study(objectives=[LOSS, LOSS]), "spec.objectives[1]", 'Duplicate value: {"metric":"loss"}'
    ),
    refused(
        "an unknown reduction", study(objectives=[{**LOSS, "reduce": "Median"}]), "spec.objectives[0].reduce", "Median"
    ),
    refused(
        "a comma in a metric's name", study(objectives=[{**LOSS, "metric": "a,b"}]), "spec.objectives[0].metric", "a,b"
    ),
    refused(
        "a constraint without a bound",
        study(constraints=[{"metric": "mem"}]),
        "spec.constraints[0]",
        "constraint on mem: give min, max or both",
    ),
    refused(
        "a constraint that nothing meets",
        study(constraints=[{"metric": "mem", "min": 3, "max": "2.5"}]),
        "spec.constraints[0].min",
        "min 3 must not exceed max 2.5",
    ),
    # --- parameters
    refused("no parameters", study(parameters=None), "spec.parameters"),
    refused("an empty list of parameters", study(parameters=[]), "spec.parameters", "at least 1 item"),
    refused(
        "65 parameters",
        parameters(*({**LR, "name": f"p{i}"} for i in range(65))),
        "spec.parameters",
        "at most 64 items",
    ),
    refused(
        "a parameter's name twice", study(parameters=[LR, LR]), "spec.parameters[1]", 'Duplicate value: {"name":"lr"}'
    ),
    refused(
        "a dash in a parameter's name",
        parameters({**LR, "name": "learning-rate"}),
        "spec.parameters[0].name",
        "learning-rate",
    ),
    refused(
        "a parameter's name that begins with a digit",
        parameters({**LR, "name": "2nd"}),
        "spec.parameters[0].name",
        "2nd",
    ),
    refused(
        "a parameter's name of 64 characters", parameters({**LR, "name": "p" * 64}), "spec.parameters[0].name", "63"
    ),
    refused(
        "a type of another program",
        study(parameters=[{**LR, "type": "Float"}]),
        "spec.parameters[0].type",
        "Float",
        "Double",
    ),
    refused(
        "a type in lower case",
        study(parameters=[{**LR, "type": "double"}]),
        "spec.parameters[0].type",
        "double",
        "Double",
    ),
    refused(
        "a parameter without a type", study(parameters=[{"name": "lr", "min": 1, "max": 2}]), "spec.parameters[0].type"
    ),
    refused(
        "a Double without bounds",
        study(parameters=[{"name": "lr", "type": "Double"}]),
        "spec.parameters[0]",
        "parameter lr: type Double needs min and max, or a fixed value",
    ),
    refused(
        "an Int with only a lower bound",
        study(parameters=[{"name": "lr", "type": "Int", "min": 1}]),
        "spec.parameters[0]",
        "parameter lr: type Int needs min and max",
    ),
    refused(
        "bounds the wrong way round",
        study(parameters=[{**LR, "min": 1, "max": "0.5"}]),
        "spec.parameters[0].min",
        "parameter lr: min 1 must not exceed max 0.5",
    ),
    refused("a bound that is no number", study(parameters=[{**LR, "min": "abc"}]), "spec.parameters[0].min", "abc"),
    refused("1e999", study(parameters=[{**LR, "max": "1e999"}]), "spec.parameters[0].max", "1e999"),
    refused("infinity", study(parameters=[{**LR, "max": "inf"}]), "spec.parameters[0].max", "inf"),
    refused("a decimal comma", study(parameters=[{**LR, "min": "0,5"}]), "spec.parameters[0].min", "0,5"),
    refused("a unit behind a bound", study(parameters=[{**LR, "max": "10%"}]), "spec.parameters[0].max", "10%"),
    refused(
        "a float without quotes",
        in_yaml('parameters: [{name: lr, type: Double, min: 0.001, max: "0.1"}]'),
        "spec.parameters[0].min",
    ),
    refused(
        "a boolean as a bound",
        in_yaml("parameters: [{name: lr, type: Int, min: no, max: 3}]"),
        "spec.parameters[0].min",
        "boolean",
    ),
    refused(
        "Log from zero",
        study(parameters=[{**LR, "min": 0, "scale": "Log"}]),
        "spec.parameters[0].min",
        "parameter lr: scale Log needs min above 0, got 0",
    ),
    refused(
        "an unknown scale",
        study(parameters=[{**LR, "scale": "Log10"}]),
        "spec.parameters[0].scale",
        "Log10",
        "ReverseLog",
    ),
    refused(
        "ReverseLog up to one",
        study(parameters=[{**LR, "max": 1, "scale": "ReverseLog"}]),
        "spec.parameters[0].scale",
        "needs type Double and max below 1",
    ),
    refused(
        "ReverseLog of an Int",
        parameters({**WIDTH, "scale": "ReverseLog"}),
        "spec.parameters[0].scale",
        "needs type Double and max below 1",
    ),
    refused(
        "half an Int",
        parameters({**WIDTH, "min": "0.5"}),
        "spec.parameters[0]",
        "parameter width: min, max, step and value of an Int must be whole numbers",
    ),
    refused(
        "an Int in scientific notation",
        parameters({**WIDTH, "max": "1e3"}),
        "spec.parameters[0]",
        "must be whole numbers",
    ),
    refused(
        "an Int of 16 digits",
        parameters({**WIDTH, "max": "1000000000000000"}),
        "spec.parameters[0]",
        "at most 15 digits",
    ),
    refused(
        "a step of zero",
        study(parameters=[{**LR, "step": 0}]),
        "spec.parameters[0].step",
        "parameter lr: step must be above 0, got 0",
    ),
    refused(
        "a negative step",
        study(parameters=[{**LR, "step": "-0.01"}]),
        "spec.parameters[0].step",
        "step must be above 0, got -0.01",
    ),
    refused(
        "yes and no as values",
        in_yaml("parameters: [{name: lr, type: Categorical, values: [yes, no]}]"),
        "spec.parameters[0].values[0]",
        "boolean",
    ),
    refused(
        "floats as values",
        in_yaml("parameters: [{name: lr, type: Ordinal, values: [0.1, 0.2]}]"),
        "spec.parameters[0].values[0]",
    ),
    refused(
        "a Categorical without values",
        parameters({"name": "opt", "type": "Categorical"}),
        "spec.parameters[0]",
        "parameter opt: type Categorical needs values",
    ),
    refused(
        "65 values",
        parameters({**WORDS, "values": [f"v{i}" for i in range(65)]}),
        "spec.parameters[0].values",
        "at most 64 items",
    ),
    refused(
        "a value of 129 characters", parameters({**WORDS, "values": ["v" * 129]}), "spec.parameters[0].values[0]", "128"
    ),
    refused("one word as values", parameters({**WORDS, "values": "sgd"}), "spec.parameters[0].values"),
    refused(
        "values of a Double",
        study(parameters=[{**LR, "values": [1]}]),
        "spec.parameters[0].values",
        "parameter lr: values does not apply to type Double",
    ),
    refused(
        "bounds of a Categorical",
        parameters({**WORDS, "min": 1}),
        "spec.parameters[0]",
        "parameter opt: min, max, step, scale and prior do not apply to type Categorical",
    ),
    refused(
        "a Derived without an expression",
        parameters(LR, {"name": "d", "type": "Derived"}),
        "spec.parameters[1]",
        "parameter d: expression is required for type Derived",
    ),
    refused(
        "an expression of a Double",
        study(parameters=[{**LR, "expression": "1"}]),
        "spec.parameters[0]",
        "expression does not apply to type Double",
    ),
    refused(
        "a fixed Derived",
        parameters(LR, {"name": "d", "type": "Derived", "expression": "lr", "value": 1}),
        "spec.parameters[1]",
        "value and count do not apply to type Derived",
    ),
    refused(
        "nothing but Derived",
        parameters({"name": "d", "type": "Derived", "expression": "1"}),
        "spec.parameters",
        "at least one parameter must not be Derived",
    ),
    refused(
        "an expression of 513 characters",
        parameters(LR, {"name": "d", "type": "Derived", "expression": "1" * 513}),
        "spec.parameters[1].expression",
        "512",
    ),
    refused(
        "a condition on a parameter that does not exist",
        study(parameters=[{**LR, "when": [{"parameter": "opt", "in": ["sgd"]}]}]),
        "spec.parameters",
        'when refers to parameters that do not exist, in the conditions of: ["lr"]',
    ),
    refused(
        "a condition on itself",
        study(parameters=[{**LR, "when": [{"parameter": "lr", "min": 1}]}]),
        "spec.parameters[0].when",
        "parameter lr: when must not refer to the parameter itself",
    ),
    refused(
        "two conditions on one parameter",
        parameters(WORDS, {**LR, "when": [{"parameter": "opt", "in": ["sgd"]}, {"parameter": "opt", "in": ["adam"]}]}),
        "spec.parameters[1].when[1]",
        "Duplicate value",
    ),
    refused(
        "five conditions",
        parameters(
            *({**WIDTH, "name": f"p{i}"} for i in range(5)), {**LR, "when": [{"parameter": f"p{i}"} for i in range(5)]}
        ),
        "spec.parameters[5].when",
        "at most 4 items",
    ),
    refused(
        "a prior without width",
        study(parameters=[{**LR, "prior": {"mean": "0.05", "deviation": 0}}]),
        "spec.parameters[0].prior.deviation",
        "must be above 0, got 0",
    ),
    refused(
        "a prior over words",
        parameters({**WORDS, "prior": {"mean": 1, "deviation": 1}}),
        "spec.parameters[0]",
        "do not apply to type Categorical",
    ),
    refused("a count of words", parameters({**WORDS, "count": "two many"}), "spec.parameters[0].count", "two many"),
    refused(
        "an unknown role", study(parameters=[{**LR, "role": "Fixed"}]), "spec.parameters[0].role", "Fixed", "Nuisance"
    ),
)
