"""Tells Rung how a training goes, and the training what Rung wants of it. Standard library only, Python 3.8 or later.

    import rung_trial

    with rung_trial.start() as trial:
        for epoch in trial.steps(default=27):
            trial.report(step=epoch, val_loss=train_one_epoch())

Every report is a JSON line on stdout and an observation that the operator fetches over HTTP; what it has not fetched
when the process ends goes into the termination message. SIGTERM ends `steps()`, makes `should_stop()` true and the exit
code 143. Without an operator (no RUNG_TRIAL in the environment) the same program runs and only prints.
Frameworks: `rung_trial.integrations`. Other languages: the command `rung-trial`. The protocol: docs/trial-contract.md.
"""

import os

from rung_trial._trial import BAD_CONFIGURATION, INFEASIBLE, STOPPED, Trial

__all__ = ["BAD_CONFIGURATION", "INFEASIBLE", "STOPPED", "Trial", "checkpoint", "finish", "output", "report", "resume"]
__all__ += ["should_stop", "start", "steps"]

_trial = Trial(os.environ)  # one process, one trial: a second start() goes on counting where the first one ended
start, finish, report, output = _trial.start, _trial.finish, _trial.report, _trial.output
steps, should_stop, checkpoint, resume = _trial.steps, _trial.should_stop, _trial.checkpoint, _trial.resume
