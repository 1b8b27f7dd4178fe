from __future__ import annotations

from tests.transforms.recommenders.contract import RecommenderContract
from transforms.recommenders.registry import RecommenderSpec


class TestItemKNN(RecommenderContract):
    spec = RecommenderSpec("itemknn", {"history": 8})
    other_shape = RecommenderSpec("itemknn", {"history": 9})


class TestItemKNNWithFewNeighbours(RecommenderContract):
    spec = RecommenderSpec("itemknn", {"neighbours": 10})
    other_shape = RecommenderSpec("itemknn", {"neighbours": 11})
