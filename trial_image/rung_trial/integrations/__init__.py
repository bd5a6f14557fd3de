"""One callback per framework: it reports, stops the training when it is told to, and writes checkpoints.

    from rung_trial.integrations.keras import RungCallback         # each epoch
    from rung_trial.integrations.lightning import RungCallback     # each epoch
    from rung_trial.integrations.huggingface import RungCallback   # each log of the Trainer
    from rung_trial.integrations.xgboost import RungCallback       # each round
    from rung_trial.integrations.lightgbm import RungCallback      # each round

Each module imports its framework and nothing else. They share a shape: `RungCallback(trial)` within
`with rung_trial.start() as trial`, which is what leaves with exit code 143; a step is what the framework counts, from 1;
the training ends at `trial.target`, if there is one, however long it was to be. Checkpoints are written where the Study
has a place for them, `checkpoint` is the path of the one to go on from (None: none), and an epoch that was cut short is
never reported as a whole one.
"""
