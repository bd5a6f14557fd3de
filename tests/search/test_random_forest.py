from __future__ import annotations

from rung.search import Sampler, Setting
from rung.search.random_forest import RandomForestSampler
from tests.search.contract import LearnerContract


class TestRandomForest(LearnerContract):
    def learner(self, setting: Setting) -> Sampler:
        return RandomForestSampler(setting)
