"""What the common frameworks really print: a few lines of each, as its version wrote them on a CPU, progress bars cut short.

Each is read by a study whose resource counter is `counter`, for `metrics` (with `extract` where the framework's own name
is no name for an expression). `want` is what a person who reads the lines would note down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rung.api.facts import Observation
from rung.api.study import Extract

KERAS_BAR = b"\x1b[1m%d/7\x1b[0m \x1b[32m\xe2\x94\x81\xe2\x94\x81\x1b[0m\x1b[37m\xe2\x94\x81\x1b[0m \x1b[1m0s\x1b[0m "
BACK = b"\x08" * 9 + b"\r"


@dataclass(frozen=True, slots=True)
class Output:
    """One framework's output, and what it says."""

    name: str
    text: bytes
    metrics: tuple[str, ...]
    counter: str | None
    want: list[Observation]
    extract: tuple[Extract, ...] = field(default=())


def at(step: float, **values: float) -> Observation:
    """An observation."""
    return Observation(step, values)


OUTPUTS = (
    Output(
        "transformers 5.23.0, Trainer",
        b"\r  0%|          | 0/4 [00:00<?, ?it/s]\r                                     \r"
        b"{'loss': '0.6929', 'grad_norm': '0.1862', 'learning_rate': '5e-05', 'epoch': '0.5'}\n"
        b"\r 25%|\xe2\x96\x88\xe2\x96\x88\xe2\x96\x8c       | 1/4 [00:00<00:00, 45.75it/s]\r            \r"
        b"{'loss': '0.6934', 'grad_norm': '0.1817', 'learning_rate': '3.75e-05', 'epoch': '1'}\n"
        b"\r  0%|          | 0/2 [00:00<?, ?it/s]\x1b[A\r        \r\n\r         \r\x1b[A{'eval_loss': '0.6932', "
        b"'eval_accuracy': '0.4375', 'eval_runtime': '0.0192', 'eval_samples_per_second': '834.9', 'epoch': '1'}\n"
        b"\r100%|\xe2\x96\x88| 4/4 [00:00<00:00, 36.27it/s]\n",
        ("loss", "eval_loss"),
        "epoch",
        [at(0.5, loss=0.6929), at(1, loss=0.6934), at(1, eval_loss=0.6932)],
    ),
    Output(
        "transformers 5.23.0, evaluate() printed",
        b"{'eval_loss': 0.6932241320610046, 'eval_accuracy': 0.4375, 'eval_runtime': 0.0094, 'epoch': 2.0}\n",
        ("eval_loss",),
        "epoch",
        [at(2, eval_loss=0.6932241320610046)],
    ),
    Output(
        "keras 3.15.1, verbose=2",
        b"Epoch 1/2\n7/7 - 0s - 20ms/step - accuracy: 0.6667 - loss: 0.6472 - val_accuracy: 0.6731 - val_loss: 0.6400\n"
        b"Epoch 2/2\n7/7 - 0s - 16ms/step - accuracy: 0.6667 - loss: 0.6318 - val_accuracy: 0.6923 - val_loss: 0.6247\n",
        ("val_loss", "loss"),
        "epoch",
        [at(1, val_loss=0.64, loss=0.6472), at(2, val_loss=0.6247, loss=0.6318)],
    ),
    Output(
        "keras 3.15.1, verbose=1",
        b"Epoch 1/2\n\r"
        + KERAS_BAR % 2
        + b"7ms/step - accuracy: 0.6719 - loss: 0.6422"
        + BACK
        + KERAS_BAR % 7
        + b"14ms/step - accuracy: 0.6863 - loss: 0.6166 - val_accuracy: 0.6923 - val_loss: 0.6098\n"
        + b"Epoch 2/2\n\r"
        + KERAS_BAR % 1
        + b"21ms/step - accuracy: 0.6562 - loss: 0.6243"
        + BACK
        + KERAS_BAR % 7
        + b"16ms/step - accuracy: 0.7059 - loss: 0.6008 - val_accuracy: 0.7115 - val_loss: 0.5960\n",
        ("val_loss", "loss"),
        "epoch",
        [at(1, val_loss=0.6098, loss=0.6166), at(2, val_loss=0.596, loss=0.6008)],
    ),
    Output(
        "lightgbm 4.7.0, log_evaluation",
        b"[LightGBM] [Info] Number of data points in the train set: 200, number of used features: 5\n"
        b"[LightGBM] [Info] [binary:BoostFromScore]: pavg=0.465000 -> initscore=-0.140229\n"
        b"[LightGBM] [Warning] No further splits with positive gain, best gain: -inf\n"
        b"[1]\ttrain's auc: 1\ttrain's binary_logloss: 0.59569\tvalid_1's auc: 0.98\tvalid_1's binary_logloss: 0.598529\n"
        b"[2]\ttrain's auc: 1\ttrain's binary_logloss: 0.518027\tvalid_1's auc: 0.99\tvalid_1's binary_logloss: 0.520375\n",
        ("auc", "logloss"),
        "iteration",
        [at(1, auc=0.98, logloss=0.598529), at(2, auc=0.99, logloss=0.520375)],
        (Extract(metric="auc", key="valid_1's auc"), Extract(metric="logloss", key="valid_1's binary_logloss")),
    ),
    Output(
        "lightgbm 4.7.0, cv",
        b"[1]\tvalid's auc: 0.91 + 0.02\n[2]\tvalid's auc: 0.93 + 0.01\n",
        ("auc", "deviation"),
        "iteration",
        [at(1, auc=0.91, deviation=0.02), at(2, auc=0.93, deviation=0.01)],
        (
            Extract(metric="auc", key="valid's auc"),
            Extract(metric="deviation", line="[<step>] valid's auc: <*> + <value>"),
        ),
    ),
    Output(
        "xgboost 3.2.0, train",
        b"[0]\ttrain-auc:1.00000\ttrain-logloss:0.44346\tvalid-auc:0.98980\tvalid-logloss:0.45135\n"
        b"[1]\ttrain-auc:1.00000\ttrain-logloss:0.30475\tvalid-auc:0.98990\tvalid-logloss:0.31658\n",
        ("valid-auc",),
        "round",
        [Observation(0, {"valid-auc": 0.9898}), Observation(1, {"valid-auc": 0.9899})],
    ),
    Output(
        "xgboost 3.2.0, cv",
        b"[0]\ttrain-auc:1.00000+0.00000\ttest-auc:0.99432+0.00568\n[1]\ttrain-auc:1.00000+0.00000\ttest-auc:0.99532+0.00468\n",
        ("auc", "deviation"),
        "round",
        [at(0, auc=0.99432, deviation=0.00568), at(1, auc=0.99532, deviation=0.00468)],
        (Extract(metric="auc", key="test-auc"), Extract(metric="deviation", line="test-auc:<*>+<value>")),
    ),
    Output(
        "scikit-learn 1.9.1, MLPClassifier(verbose=True)",
        b"Iteration 1, loss = 0.65462442\nIteration 2, loss = 0.64830232\n",
        ("loss",),
        "iteration",
        [at(1, loss=0.65462442), at(2, loss=0.64830232)],
    ),
    Output(
        "scikit-learn 1.9.1, SGDClassifier(verbose=1)",
        b"-- Epoch 1\nNorm: 82.72, NNZs: 5, Bias: -8.571565, T: 200, Avg. loss: 1.826611, Objective: 2.039209\n"
        b"Total training time: 0.00 seconds.\n-- Epoch 2\n"
        b"Norm: 83.04, NNZs: 5, Bias: -7.517137, T: 400, Avg. loss: 0.204004, Objective: 0.547182\n",
        ("loss", "Objective"),
        "epoch",
        [at(1, loss=1.826611, Objective=2.039209), at(2, loss=0.204004, Objective=0.547182)],
        (Extract(metric="loss", key="Avg. loss"),),
    ),
    Output(
        "scikit-learn 1.9.1, GradientBoostingClassifier(verbose=2)",
        b"      Iter       Train Loss   Remaining Time \n         1           1.1914            0.01s\n"
        b"         2           1.0361            0.00s\n",
        ("loss",),
        None,
        [at(1, loss=1.1914), at(2, loss=1.0361)],
        (Extract(metric="loss", line="<step> <value> <*>s"),),
    ),
    Output(
        "scikit-learn 1.9.1, GridSearchCV(verbose=3)",
        b"Fitting 2 folds for each of 2 candidates, totalling 4 fits\n"
        b"[CV 1/2] END .........................alpha=0.1;, score=0.960 total time=   0.0s\n"
        b"[CV 2/2] END .........................alpha=0.1;, score=0.980 total time=   0.0s\n",
        ("score",),
        None,
        [at(1, score=0.96), at(2, score=0.98)],
    ),
    Output(
        "lightning 2.6.6, TQDMProgressBar: the bar shows the validation before until its own is over",
        b"\rTraining: |          | 0/? [00:00<?, ?it/s]\rEpoch 0:   0%|          | 0/4 [00:00<?, ?it/s]"
        b"\rEpoch 0:  25%|\xe2\x96\x88\xe2\x96\x88\xe2\x96\x8c       | 1/4 [00:00<00:00, 334.85it/s, v_num=1, train_loss_step=1.780]"
        b"\rEpoch 0: 100%|\xe2\x96\x88| 4/4 [00:00<00:00, 140.55it/s, v_num=1, train_loss_step=0.484]\n"
        b"\rValidation: |          | 0/? [00:00<?, ?it/s]\x1b[A\n\rValidation DataLoader 0:  25%|\xe2\x96\x88\xe2\x96\x88\xe2\x96\x8c"
        b"       | 1/4 [00:00<00:00, 938.53it/s]\x1b[A\n\r                                             \x1b[A"
        b"\rEpoch 0: 100%|\xe2\x96\x88| 4/4 [00:00<00:00, 97.55it/s, v_num=1, train_loss_step=0.484, val_loss=0.198]"
        b"\rEpoch 1:  25%|\xe2\x96\x88| 1/4 [00:00<00:00, 301.2it/s, v_num=1, train_loss_step=0.110, val_loss=0.198]"
        b"\rEpoch 1: 100%|\xe2\x96\x88| 4/4 [00:00<00:00, 122.93it/s, v_num=1, train_loss_step=0.110, val_loss=0.0458]\n",
        ("val_loss",),
        "epoch",
        [at(0, val_loss=0.198), at(1, val_loss=0.198), at(1, val_loss=0.0458)],
    ),
    Output(
        "lightning 2.6.6, validate()",
        "┃      Validate metric      ┃       DataLoader 0        ┃\n"
        "│         val_loss          │   0.045808009803295135    │\n".encode(),
        ("val_loss",),
        None,
        [at(1, val_loss=0.045808009803295135)],
        (Extract(metric="val_loss", line="│ val_loss │ <value> │"),),
    ),
    Output(
        "torch 2.15.0, torchrun --tee 3: two ranks, the later word at a step holds",
        b"[default0]:Epoch 0: loss=0.5 rank=0\n[default1]:Epoch 0: loss=0.52 rank=1\n"
        b"[default0]:Epoch 1: loss=0.25 rank=0\n[default1]:Epoch 1: loss=0.26 rank=1\n",
        ("loss",),
        "epoch",
        [at(0, loss=0.5), at(0, loss=0.52), at(1, loss=0.25), at(1, loss=0.26)],
    ),
    Output(
        "torch 2.15.0, torchrun --tee 3: one rank alone, by a line of its own form",
        b"[default0]:Epoch 0: loss=0.5 rank=0\n[default1]:Epoch 0: loss=0.52 rank=1\n"
        b"[default0]:Epoch 1: loss=0.25 rank=0\n[default1]:Epoch 1: loss=0.26 rank=1\n",
        ("loss",),
        "epoch",
        [at(0, loss=0.5), at(1, loss=0.25)],
        (Extract(metric="loss", line="[default0]:Epoch <step>: loss=<value>"),),
    ),
)
