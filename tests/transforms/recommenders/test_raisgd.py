from __future__ import annotations

from tests.transforms.recommenders.contract import RecommenderContract
from transforms.recommenders.registry import RecommenderSpec


class TestRAISGD(RecommenderContract):
    spec = RecommenderSpec("raisgd", {"k": 8}, seed=3)
    other_shape = RecommenderSpec("raisgd", {"k": 9}, seed=3)
