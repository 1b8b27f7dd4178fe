"""Item shards of a `ShardedModel` list and test, together, exactly what one recommender does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support import movielens_like, same_arrays
from tests.transforms.recommenders.featured import featured
from transforms.errors import IncompatibleModelError
from transforms.evaluation.observer import PreUpdateObserver, evaluate, evaluate_standings
from transforms.formats.records import Evaluation, Rating, Recommendation, Request
from transforms.learning.shard import learn, merge_recommendations
from transforms.learning.snapshot_codec import decode, encode
from transforms.recommenders.hashing import Block
from transforms.recommenders.model import ShardedModel
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import EXACTLY_SHARDED, MODEL_NAMES, RecommenderSpec

TOP_N = 6


def stream(count: int, seed: int, weights: Sequence[float] = (1.0,)) -> list[Rating]:
    """Ratings a third of which repeat an earlier item of their user, with pauses of any length."""
    draw = random.Random(seed)
    chosen: dict[str, list[str]] = {}
    made, time = [], 1e9
    for rating in movielens_like(count, users=25, items=90, seed=seed):
        mine = chosen.setdefault(rating.user, [])
        again = bool(mine) and draw.random() < 0.35
        item = mine[-draw.randint(1, min(4, len(mine)))] if again else rating.item
        mine.append(item)
        time += draw.choice([1.0, 300.0, 1000.0])
        made.append(rating._replace(item=item, weight=draw.choice(weights), timestamp=time))
    return made


def untuned(model: str, repeats: str, **hyperparameters: Any) -> dict[str, Any]:
    """Hyperparameters with which one recommender tests no setting, as item shards do not."""
    tunes = model == "itemknn" and repeats == "never"
    return {**hyperparameters, "tune": "off"} if tunes else hyperparameters


def built(spec: RecommenderSpec, shards: int, *, tested: bool = False) -> list[Recommender]:
    return [spec.build(Block(number, shards, tested)) for number in range(shards)]


def lists_of(
    recommenders: Sequence[Recommender], ratings: Sequence[Rating], top_n: int = TOP_N
) -> list[Recommendation]:
    """What the recommenders, one or several shards, list for ratings and for two requests."""
    asked = [Request(ratings[0].user, 1.0, "r:1"), Request("nobody", 2.0, "r:2")]
    done = [learn(one, ratings, top_n, requests=asked) for one in recommenders]
    assert all(one.changed == done[0].changed for one in done)
    if len(done) == 1:
        return list(done[0].recommendations)
    each = zip(*(one.recommendations for one in done), strict=True)
    places = zip(*(one.places for one in done), strict=True)
    return [merge_recommendations(a, top_n, b) for a, b in zip(each, places, strict=True)]


def as_text(lists: Sequence[Recommendation]) -> list[str]:
    """Lists with every digit of their scores."""
    return [repr(one._replace(items=list(one.items))) for one in lists]


@pytest.mark.parametrize("shards", [2, 4, 8])
@pytest.mark.parametrize("neighbors", [2000, 60])
@pytest.mark.parametrize("repeats", ["never", "allow", "auto"])
def test_merged_lists_are_those_of_one_recommender_to_the_bit(
    repeats: str, neighbors: int, shards: int
) -> None:
    hyperparameters = untuned("itemknn", repeats, neighbors=neighbors)
    spec = RecommenderSpec("itemknn", hyperparameters, repeats=repeats)
    ratings = stream(1200, shards)
    one, parts = spec.build(), built(spec, shards)
    for start in range(0, len(ratings), 400):
        batch = ratings[start : start + 400]
        assert as_text(lists_of(parts, batch)) == as_text(lists_of([one], batch))
    assert one.allow_repeats == (repeats != "never")
    assert sum(len(part.model.state_dict()["counts.ids"]) for part in parts) == len(
        one.model.state_dict()["counts.ids"]
    )


@pytest.mark.parametrize("repeats", ["never", "allow"])
def test_features_of_all_items_are_known_to_each_shard(repeats: str) -> None:
    spec = RecommenderSpec("itemknn", untuned("itemknn", repeats), repeats=repeats)
    one, parts = spec.build(), built(spec, 3)
    ratings = featured(500)
    assert as_text(lists_of(parts, ratings)) == as_text(lists_of([one], ratings))
    assert not one.minibatch_size(TOP_N)


@pytest.mark.parametrize(
    "bounds", [{"max_items": 40, "max_users": 12}, {"user_ttl": 20_000.0}, {}], ids=str
)
@pytest.mark.parametrize("model", sorted(EXACTLY_SHARDED))
@pytest.mark.parametrize("repeats", ["never", "auto"])
def test_weights_rejections_and_evictions_are_those_of_one_recommender(
    repeats: str, model: str, bounds: dict[str, Any]
) -> None:
    spec = RecommenderSpec(model, untuned(model, repeats), repeats=repeats, **bounds)
    ratings = stream(500, 5, weights=(1.0, 1.0, 0.5, 2.0, -1.0, 0.0))
    one, parts = spec.build(), built(spec, 3)
    for start in range(0, len(ratings), 125):
        batch = ratings[start : start + 125]
        assert as_text(lists_of(parts, batch)) == as_text(lists_of([one], batch))
    assert len({tuple(part.items.ids) for part in (one, *parts)}) == 1


@pytest.mark.parametrize("neighbors", [2000, 60])
@pytest.mark.parametrize("repeats", ["never", "auto"])
def test_shards_that_were_saved_and_rebuilt_go_on_alike(repeats: str, neighbors: int) -> None:
    hyperparameters = untuned("itemknn", repeats, neighbors=neighbors)
    spec = RecommenderSpec("itemknn", hyperparameters, repeats=repeats, max_items=70)
    ratings = stream(700, 6)
    one, parts = spec.build(), built(spec, 2)
    for start in range(0, len(ratings), 140):
        batch = ratings[start : start + 140]
        assert as_text(lists_of(parts, batch)) == as_text(lists_of([one], batch))
        blocks = [part.block for part in parts]
        arrays = [part.state_dict() for part in parts]
        saved = [encode(spec, 1, each, block) for each, block in zip(arrays, blocks, strict=True)]
        loaded = [decode(each, spec, block)[0] for each, block in zip(saved, blocks, strict=True)]
        for before, after in zip(parts, loaded, strict=True):
            assert same_arrays(before.state_dict(), after.state_dict())
        parts = loaded


@pytest.mark.parametrize("block", [Block(0, 2), Block(2, 3)])
def test_a_shard_learns_a_log_as_it_learned_the_ratings(block: Block) -> None:
    for repeats in ("never", "auto"):
        spec = RecommenderSpec("itemknn", {"neighbors": 60}, repeats=repeats)
        plain, at_once = spec.build(block), spec.build(block)
        for rating in stream(600, 7):
            plain.update(rating)
        at_once.learn_all(stream(600, 7))
        assert same_arrays(plain.state_dict(), at_once.state_dict())


def _tests_of(
    recommenders: Sequence[Recommender], ratings: Sequence[Rating], model: str
) -> list[Evaluation]:
    observers = [PreUpdateObserver(TOP_N) for _ in recommenders]
    for recommender, observer in zip(recommenders, observers, strict=True):
        learn(recommender, ratings, TOP_N, observer=observer)
    tested = observers[0].ratings
    if len(recommenders) == 1:
        scores = [[one] for one in observers[0].scores]
        pairs = zip(tested, scores, strict=True)
        return [evaluate(rating, one, model, TOP_N, 1.0, 2.0) for rating, one in pairs]
    each = zip(*(observer.standings for observer in observers), strict=True)
    return [
        evaluate_standings(rating, standings, model, TOP_N, 1.0, 2.0)
        for rating, standings in zip(tested, each, strict=True)
    ]


@pytest.mark.parametrize("neighbors", [2000, 60])
@pytest.mark.parametrize("repeats", ["never", "allow", "auto"])
@pytest.mark.parametrize("model", sorted(EXACTLY_SHARDED))
def test_ranks_are_those_of_one_recommender(model: str, repeats: str, neighbors: int) -> None:
    hyperparameters = {"neighbors": neighbors} if model == "itemknn" else {}
    hyperparameters = untuned(model, repeats, **hyperparameters)
    spec = RecommenderSpec(model, hyperparameters, repeats=repeats, max_items=80)
    ratings = stream(400, 8, weights=(1.0, 1.0, 2.0, -1.0))
    found = _tests_of(built(spec, 3, tested=True), ratings, model)
    expected = _tests_of([spec.build()], ratings, model)
    assert found == expected
    assert len({one.rank for one in found}) > 10


def test_items_that_tie_come_in_the_order_in_which_they_came() -> None:
    spec = RecommenderSpec("popular", repeats="allow")
    ratings = [Rating(f"u{number}", f"i{number}", 1.0, 0.0) for number in range(40)]
    parts = built(spec, 4)
    listed = lists_of(parts, ratings, 20)[-1].items
    assert [item for item, _ in listed] == [f"i{number}" for number in range(20)]


def test_a_shard_keeps_the_columns_of_its_items_and_pairs_of_others_for_repeats() -> None:
    ratings = stream(1500, 9)
    entries = {}
    for repeats in ("never", "auto"):
        spec = RecommenderSpec("itemknn", repeats=repeats)
        parts = built(spec, 4)
        for part in parts:
            part.learn_all(ratings)
        one = spec.build()
        one.learn_all(ratings)
        states = [part.model.state_dict() for part in parts]
        whole = len(one.model.state_dict()["counts.ids"])
        entries[repeats] = np.mean([len(state["counts.ids"]) for state in states]) / whole
        assert all(("elsewhere.ids" in state) == (repeats == "auto") for state in states)
        if repeats == "auto":
            pairs = np.mean([len(state["elsewhere.ids"]) for state in states]) / whole
            assert 0.2 < pairs < 0.35
    assert entries["never"] == entries["auto"] == 0.25


def test_counts_that_repeats_or_tests_need_have_to_be_there() -> None:
    spec = RecommenderSpec("itemknn", {"tune": "off"}, repeats="never")
    shard = spec.build(Block(0, 2))
    shard.learn_all(stream(100, 1))
    saved = encode(spec, 1, shard.state_dict(), Block(0, 2))
    with pytest.raises(IncompatibleModelError, match="neither is evaluated nor lists repeats"):
        decode(saved, spec, Block(0, 2, tested=True))
    tested = spec.build(Block(0, 2, tested=True))
    tested.learn_all(stream(100, 1))
    again, _ = decode(encode(spec, 1, tested.state_dict(), Block(0, 2)), spec, Block(0, 2))
    assert same_arrays(again.state_dict(), shard.state_dict())
    allowing = replace(spec, repeats="allow")
    with pytest.raises(IncompatibleModelError, match="elsewhere"):
        decode(saved, allowing, Block(0, 2), fields=("model",))


def test_the_registry_knows_which_models_shard_exactly() -> None:
    exact = {
        name
        for name in MODEL_NAMES
        if isinstance(RecommenderSpec(name).build().model, ShardedModel)
    }
    assert exact == EXACTLY_SHARDED
