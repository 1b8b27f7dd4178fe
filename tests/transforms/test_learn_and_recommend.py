"""The item shards of a user shard learn its batches in one order, however they are delivered."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support import ModelShards, movielens_like
from tests.transforms.sharding.test_in_order import Bag, Value
from transforms import RatingBatch, Recommend, RecommenderSpec, Request, ScoredItem, Sharding
from transforms.learn_and_recommend import LearnAndRecommendDoFn
from transforms.learning.state import ModelCache, ShardState
from transforms.runtime.worker_context import WORKER
from transforms.sharding.in_order import QueueCache
from transforms.sharding.key_batches import take_numbers
from transforms.sharding.keys import ModelShard, model_shard_key
from transforms.sharding.parts import Part, merge

SPEC = RecommenderSpec("mf", {"k": 4}, seed=5, max_users=12)
SHARDING = Sharding(1, 2)
RATINGS = movielens_like(240, users=40)


def partition(number: int, size: int) -> list[RatingBatch]:
    """The batches of one of two partitions, each with a request at its end."""
    ratings = RATINGS[number::2]
    return [
        RatingBatch(
            ratings[at : at + size], 0.0, [Request(ratings[at].user, 1.0, f"r-{number}:{at}")]
        )
        for at in range(0, len(ratings), size)
    ]


class Shard:
    """The stateful step of one model shard, with the state that a runner commits."""

    def __init__(self, key: ModelShard, scope: str) -> None:
        self.key = key
        self.do_fn = LearnAndRecommendDoFn(Recommend(SPEC, SHARDING, top_n=5), scope, False)
        self.values: dict[str, Any] = {"meta": None, "order": None}
        names = ("snapshot", "other_snapshot", "log", "early")
        self.bags: dict[str, list[bytes]] = {name: [] for name in names}

    def bundle(self, batches: list[RatingBatch], *, commit: bool = True) -> list[Part]:
        values = {name: Value(value) for name, value in self.values.items()}
        work = {"read": 0, "added": 0, "cleared": 0}
        bags = {name: Bag(bag, work) for name, bag in self.bags.items()}
        self.do_fn.start_bundle()
        made: list[Part] = []
        for batch in batches:
            for output in self.do_fn.process((self.key, batch), **values, **bags):
                # A recommendation in place of a part is for one item shard alone.
                assert isinstance(output, tuple)
                made.append(output[1])
        self.do_fn.finish_bundle()
        if not commit:
            return []
        self.values = {name: value.value for name, value in values.items()}
        self.bags = {name: bag.values for name, bag in bags.items()}
        return made

    def users(self) -> list[str]:
        """Returns the users that the model has, from state alone."""
        WORKER.get(ModelCache).clear()
        work = {"read": 0, "added": 0, "cleared": 0}
        first, second, log = (
            Bag(self.bags[name], work) for name in ("snapshot", "other_snapshot", "log")
        )
        state = ShardState(Value(self.values["meta"]), (first, second), log)
        return list(self.do_fn.open(self.key, state).recommender.users.ids)


def expected_lists(batches: Iterable[RatingBatch]) -> list[tuple[str, str, list[ScoredItem]]]:
    """What a plain loop recommends that learns the batches in this order."""
    grid = ModelShards(SPEC, 1, 2)
    lists = []
    for batch in batches:
        for rating in batch.ratings:
            grid.update(rating)
            lists.append((rating.user, rating.origin, grid.recommend(rating.user, 5)))
        for request in batch.requests:
            lists.append((request.user, request.origin, grid.recommend(request.user, 5)))
    return lists


def merged_lists(parts: list[list[Part]]) -> list[tuple[str, str, list[ScoredItem]]]:
    wholes = [merge(of_batch, 5) for of_batch in zip(*parts, strict=True)]
    return [
        (one.user, one.origin, list(one.items)) for whole in wholes for one in whole.recommendations
    ]


# Shrinking would take longer than a test may.
@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.integers(1, 25),
    st.sampled_from([0, 1, 3, 100]),
    st.floats(0, 0.5),
    st.integers(0, 2**32),
)
def test_shards_agree_whatever_order_the_batches_of_two_partitions_are_delivered_in(
    size: int, disorder: int, failures: float, seed: int
) -> None:
    shuffler = random.Random(seed)
    waiting = [deque(partition(number, size)) for number in (0, 1)]
    number_state, batches = Value(None), []
    while any(waiting):
        batch = shuffler.choice([queue for queue in waiting if queue]).popleft()
        (number,) = take_numbers(number_state, 1)
        batches.append(replace(batch, number=number))
    scope = uuid4().hex
    shards = [Shard(model_shard_key(0, item_shard, SHARDING), scope) for item_shard in range(2)]
    parts: list[list[Part]] = []
    for shard in shards:
        delivered = sorted(batches, key=lambda batch: batch.number + shuffler.uniform(0, disorder))
        made: list[Part] = []
        while delivered:
            count = shuffler.randint(1, 4)
            if shuffler.random() < failures:
                shard.bundle(delivered[:count], commit=False)
            if shuffler.random() < failures:
                WORKER.get(ModelCache).clear()
                WORKER.get(QueueCache).clear()
            made += shard.bundle(delivered[:count])
            del delivered[:count]
        assert [part.number for part in made] == [batch.number for batch in batches]
        parts.append(made)
    assert shards[0].users() == shards[1].users()
    assert merged_lists(parts) == expected_lists(batches)


def test_another_order_would_have_left_the_shards_with_other_users() -> None:
    first, second = partition(0, 20), partition(1, 20)
    users = []
    for order in ([*first, *second], [*second, *first]):
        recommender = SPEC.build()
        for batch in order:
            recommender.learn_all(batch.ratings)
        users.append(set(recommender.users.ids))
    assert users[0] != users[1]
