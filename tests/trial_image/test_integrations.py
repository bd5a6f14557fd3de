"""The callbacks in the real frameworks: what is reported, SIGTERM in the middle, and going on from the checkpoint.

`make test-integrations` makes an environment with all five frameworks (several GB, since PyTorch brings CUDA) and runs
this file there; elsewhere each case is skipped whose framework is missing.
"""

from __future__ import annotations

import importlib.util
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.trial_image.processes import Ended, ended, process, python


@dataclass(frozen=True)
class Framework:
    """A few lines of training, the module that they need, and the names of what they report."""

    module: str
    program: str
    metrics: frozenset[str]
    counter: str = "epoch"


KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy, rung_trial
from rung_trial.integrations.keras import RungCallback

x = numpy.linspace(-1, 1, 64).reshape(-1, 1).astype("float32")

def build():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model

with rung_trial.start() as trial:
    rung = RungCallback(trial)
    model = keras.models.load_model(rung.checkpoint) if rung.checkpoint else build()
    model.fit(x, x**2, validation_data=(x, x**2), batch_size=16, initial_epoch=rung.step, epochs=10_000,
              callbacks=[rung], verbose=0)
"""

LIGHTNING = """
import logging, warnings, torch, rung_trial
import lightning.pytorch as lightning
from rung_trial.integrations.lightning import RungCallback

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Linear(1, 1)
    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.weight(batch[0]), batch[0] * 2)
    def training_step(self, batch, index):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", self.loss(batch))
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)

torch.manual_seed(1)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.linspace(-1, 1, 64).reshape(-1, 1)), 16)
with rung_trial.start() as trial:
    rung = RungCallback(trial)
    trainer = lightning.Trainer(max_epochs=10_000, accelerator="cpu", callbacks=[rung], logger=False,
                                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Line(), data, data, ckpt_path=rung.checkpoint)
"""

HUGGINGFACE = """
import sys, torch, rung_trial
from transformers import Trainer, TrainingArguments
from rung_trial.integrations.huggingface import RungCallback

class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Linear(1, 1)
    def forward(self, x, labels):
        out = self.weight(x)
        return {"loss": torch.nn.functional.mse_loss(out, labels), "logits": out}

torch.manual_seed(1)
data = [{"x": torch.tensor([i / 64]), "labels": torch.tensor([i / 32])} for i in range(64)]
arguments = TrainingArguments(sys.argv[1], num_train_epochs=10_000, per_device_train_batch_size=16, use_cpu=True,
                              logging_strategy="epoch", eval_strategy="epoch", save_strategy="epoch",
                              learning_rate=0.01, save_total_limit=1, report_to=[], disable_tqdm=True)
with rung_trial.start() as trial:
    rung = RungCallback(trial)
    trainer = Trainer(Line(), arguments, train_dataset=data, eval_dataset=data, callbacks=[rung])
    trainer.train(resume_from_checkpoint=rung.checkpoint)
"""

XGBOOST = """
import numpy, xgboost, rung_trial
from rung_trial.integrations.xgboost import RungCallback

x = numpy.random.default_rng(1).normal(size=(400, 4))
data = xgboost.DMatrix(x, label=(x[:, 0] * x[:, 1] > 0))
with rung_trial.start() as trial:
    rung = RungCallback(trial)
    xgboost.train({"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "nthread": 1, "eta": 0.05}, data,
                  rung.rounds_left(100_000), evals=[(data, "valid")], xgb_model=rung.checkpoint, callbacks=[rung],
                  verbose_eval=False)
"""

LIGHTGBM = """
import numpy, lightgbm, rung_trial
from rung_trial.integrations.lightgbm import RungCallback

x = numpy.random.default_rng(1).normal(size=(400, 4))
parameters = {"objective": "binary", "metric": ["binary_logloss", "auc"], "num_threads": 1, "verbose": -1,
              "learning_rate": 0.05}
data = lightgbm.Dataset(x, label=(x[:, 0] * x[:, 1] > 0), params=parameters, free_raw_data=False)
with rung_trial.start() as trial:
    rung = RungCallback(trial)
    lightgbm.train(parameters, data, rung.rounds_left(100_000), valid_sets=[data.create_valid(x, data.label)],
                   init_model=rung.checkpoint, callbacks=[rung])
"""

FRAMEWORKS = {
    "keras": Framework("keras", KERAS, frozenset({"loss", "mae", "val_loss", "val_mae"})),
    "lightning": Framework("lightning", LIGHTNING, frozenset({"train_loss", "val_loss"})),
    "huggingface": Framework("transformers", HUGGINGFACE, frozenset({"loss", "eval_loss"})),
    "xgboost": Framework("xgboost", XGBOOST, frozenset({"valid-logloss", "valid-auc"}), "round"),
    "lightgbm": Framework("lightgbm", LIGHTGBM, frozenset({"valid_0 binary_logloss", "valid_0 auc"}), "round"),
}


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> Framework:
    found = FRAMEWORKS[request.param]
    for module in {found.module, "torch"} if found.counter == "epoch" else {found.module}:
        if importlib.util.find_spec(module) is None:  # not imported: that takes seconds, and the trial does it
            pytest.skip(f"{module} is not installed here; `make test-integrations` runs this where it is")
    return found


def steps(framework: Framework, got: Ended) -> list[float]:
    """At which every one of its metrics was reported. Hugging Face's last log before a stop is within an epoch, and says so."""
    seen: dict[float, set[str]] = {}
    for report in got.reports:
        if report.get(framework.counter, 0.5) % 1 == 0:
            seen.setdefault(report[framework.counter], set()).update(report)
    return [step for step, names in seen.items() if framework.metrics <= names]


def test_stopped_by_sigterm_it_goes_on_from_its_checkpoint_to_its_target(framework: Framework, tmp_path: Path) -> None:
    """Two attempts: each step is reported once, the last is the target, the exit codes are right, nothing is forgotten.

    One process more trains as far without a break, to compare. All in one case, since importing a framework costs more
    than training with it.
    """
    loss = min(framework.metrics & {"val_loss", "eval_loss", "valid-logloss", "valid_0 binary_logloss"})
    told = {"RUNG_RESOURCE_METRIC": framework.counter, "HOME": os.devnull, "OMP_NUM_THREADS": "1"}
    command, runs = [*python(framework.program), str(tmp_path / "own")], tmp_path / "runs"
    with process(command, RUNG_RESOURCE_TARGET="10000", RUNG_CHECKPOINT_DIR=str(runs), **told) as trial:
        while len(steps(framework, Ended(0, trial.seen, ""))) < 12:
            assert trial.line(), trial.end().stderr
        trial.popen.send_signal(signal.SIGTERM)
        first = trial.end()
    assert first.code == 143, first.stderr
    kept = max(int(path.name.partition("-")[2]) for path in runs.glob("step-*"))
    before = steps(framework, first)
    assert before == list(range(1, len(before) + 1))
    assert before[-1] - kept in {0, 1}, "the work of one step at most is lost"

    target = str(kept + 3)
    second = ended(command, RUNG_RESOURCE_TARGET=target, RUNG_CHECKPOINT_DIR=str(runs), **told)
    assert second.code == 0, second.stderr
    assert steps(framework, second) == [kept + 1, kept + 2, kept + 3]

    unbroken = ended([*python(framework.program), str(tmp_path / "unbroken")], RUNG_RESOURCE_TARGET=target, **told)
    assert unbroken.code == 0, unbroken.stderr
    whole, begun, resumed = ([r[loss] for r in got.reports if loss in r] for got in (unbroken, first, second))
    assert begun[:5] == pytest.approx(whole[:5], rel=1e-4)
    learnt = whole[0] - whole[kept]
    assert learnt > 0
    # Not every framework shuffles alike after a resume; what none does is to begin again.
    assert resumed[0] == pytest.approx(whole[kept], abs=learnt / 10)
