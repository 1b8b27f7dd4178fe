"""What every model must do; a test module for a model subclasses `RecommenderContract`."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.support import movielens_like, same_arrays
from transforms.errors import IncompatibleModelError
from transforms.formats.records import Features, Rating
from transforms.learning.snapshot_codec import decode, encode
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.hashing import Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import EXACTLY_SHARDED, RecommenderSpec


class RecommenderContract:
    """Tests over `spec`; `other_spec` is one of another model."""

    spec: RecommenderSpec
    other_spec: RecommenderSpec
    newcomers_by_positives = True

    def learned(self, ratings: list[Rating], spec: RecommenderSpec | None = None) -> Recommender:
        recommender = (spec or self.spec).build()
        for rating in ratings:
            recommender.update(rating)
        return recommender

    def saved(self, recommender: Recommender) -> Arrays:
        return dict(safetensors.numpy.load(safetensors.numpy.save(recommender.state_dict())))

    def test_a_list_names_no_item_twice_and_none_that_the_user_has(self) -> None:
        recommender = self.spec.build()
        for rating in movielens_like(600):
            recommender.update(rating)
            names = [item for item, _ in recommender.recommend(rating.user, 10)]
            assert len(set(names)) == len(names)
            assert not set(names) & recommender.seen_items(rating.user)

    def test_a_list_is_as_long_as_it_can_be_and_best_first(self) -> None:
        recommender = self.learned(movielens_like(600))
        for user in recommender.users.ids:
            everything = recommender.recommend(user, 10_000)
            free = len(recommender.items) - len(recommender.seen_items(user))
            assert len(everything) == free
            scores = [score for _, score in everything]
            assert scores == sorted(scores, reverse=True)
            assert recommender.recommend(user, 7) == everything[:7]

    def test_repeats_come_when_they_are_allowed(self) -> None:
        recommender = self.learned(movielens_like(600), replace(self.spec, repeats="allow"))
        user = recommender.users.ids[0]
        everything = {item for item, _ in recommender.recommend(user, 10_000)}
        assert everything == set(recommender.items.ids)

    def test_an_unknown_user_gets_the_most_popular_items(self) -> None:
        ratings = movielens_like(300)
        recommender = self.learned(ratings)
        assert not recommender.knows("nobody")
        listed = recommender.recommend("nobody", 10)
        counts = Counter(rating.item for rating in ratings)
        if not self.newcomers_by_positives:
            assert len(listed) == 10
            return
        assert [counts[item] for item, _ in listed] == [score for _, score in listed]
        assert [score for _, score in listed] == sorted(counts.values(), reverse=True)[:10]

    def test_items_of_another_block_are_not_listed_but_their_users_are_known(self) -> None:
        ratings = movielens_like(300)
        block = Block(1, 3)
        recommender = self.spec.build(block)
        exact = self.spec.model in EXACTLY_SHARDED
        for rating in ratings:
            known = recommender.knows(rating.user)
            changed = recommender.update(rating)
            assert changed == (exact or block.has(rating.item) or not known)
        learned = {r.item for r in ratings if exact or block.has(r.item)}
        assert set(recommender.items.ids) == learned
        assert set(recommender.users.ids) == {r.user for r in ratings}
        counts = Counter(rating.item for rating in ratings if block.has(rating.item))
        listed = dict(recommender.recommend("nobody", 10_000))
        assert listed == counts if self.newcomers_by_positives else listed.keys() == counts.keys()
        assert len(counts) < len({rating.item for rating in ratings})

    def test_how_things_stand_is_what_is_listed(self) -> None:
        recommender = self.learned(movielens_like(400))
        for user in [*recommender.users.ids[:20], "nobody"]:
            standing = recommender.candidates(user, recommender.items.ids[7])
            assert recommender.best(standing.scores, 9) == recommender.recommend(user, 9)
            assert standing.item == 7
            free = len(recommender.items) - len(recommender.seen_items(user))
            assert np.count_nonzero(standing.popularity > -np.inf) == free
        assert recommender.candidates("nobody", "no item").item == -1

    def test_ids_are_strings_of_any_kind(self) -> None:
        names = ["", "196", "ü", "日本", "a" * 5000, "with space", "\x00"]
        ratings = [Rating(u, i, 5.0, 0.0) for u in names for i in names if u <= i]
        recommender = self.learned(ratings)
        loaded = self.spec.build()
        loaded.load_state_dict(self.saved(recommender))
        assert loaded.users.ids == names
        assert loaded.items.ids == recommender.items.ids
        assert {i for i, _ in loaded.recommend("日本", 99)} == {n for n in names if n < "日本"}

    def test_the_same_ratings_give_the_same_model(self) -> None:
        ratings = movielens_like(500)
        first, second = self.learned(ratings), self.learned(ratings)
        assert same_arrays(first.state_dict(), second.state_dict())

    @pytest.mark.parametrize("cut", [0, 1, 250, 499])
    def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(self, cut: int) -> None:
        ratings = movielens_like(500)
        loaded = self.spec.build()
        loaded.load_state_dict(self.saved(self.learned(ratings[:cut])))
        for rating in ratings[cut:]:
            loaded.update(rating)
        assert same_arrays(loaded.state_dict(), self.learned(ratings).state_dict())

    def test_what_is_saved_is_a_copy_of_plain_arrays(self) -> None:
        recommender = self.learned(movielens_like(100))
        saved = recommender.state_dict()
        # Known users and items first: arrays that grow are replaced, which hides a shared one.
        for rating in [*movielens_like(100)[::-1], *movielens_like(100, seed=5)]:
            recommender.update(rating)
            recommender.recommend(rating.user, 5)
        assert all(value.dtype != np.dtype(object) for value in saved.values())
        loaded = self.spec.build()
        loaded.load_state_dict(saved)
        assert same_arrays(loaded.state_dict(), self.learned(movielens_like(100)).state_dict())

    def test_a_model_of_another_spec_is_refused(self) -> None:
        encoded = encode(self.spec, 50, self.learned(movielens_like(50)).state_dict())
        with pytest.raises(IncompatibleModelError, match="the saved model has"):
            decode(encoded, self.other_spec)

    def test_what_kernels_were_given_may_live_on(self) -> None:
        # numba leaves the frame that calls a kernel first in a reference cycle, and with it all
        # views of arrays. Here all that any function had lives on.
        kept: list[dict[str, Any]] = []

        def keep(frame: Any, event: str, argument: Any) -> None:
            if event == "return" and "recommenders" in frame.f_code.co_filename:
                kept.append(dict(frame.f_locals))

        ratings = movielens_like(120, users=7, items=30)
        recommender, batched = self.spec.build(), self.spec.build()
        sys.setprofile(keep)
        try:
            for rating in ratings:
                recommender.candidates(rating.user, rating.item)
                recommender.update(rating)
                recommender.recommend(rating.user, 10)
            batched.learn_all(ratings)
        finally:
            sys.setprofile(None)
        assert kept
        plain = self.learned(ratings)
        assert same_arrays(recommender.state_dict(), plain.state_dict())
        assert same_arrays(batched.state_dict(), plain.state_dict())

    def test_all_scores_are_finite_after_any_finite_input(self) -> None:
        extremes = (0.0, -0.0, 1e-308, 1.0, -1.0, 1995.0, -1e30, 1.7e308, -1.7e308)
        random = np.random.default_rng(4)
        recommender = self.spec.build()
        for number, rating in enumerate(movielens_like(400, users=20, items=40)):
            vectors = random.choice(extremes, size=(3, 3)).tolist()
            context = vectors[2]
            extreme = rating._replace(
                rating=float(random.choice(extremes)),
                timestamp=float(abs(random.choice(extremes))),
                features=Features(*vectors) if number % 3 else None,
            )
            recommender.update(extreme)
            scores = recommender.model.item_scores(recommender.users.get(rating.user) or 0, context)
            assert np.isfinite(scores).all()
            listed = recommender.recommend(rating.user, 10_000, context)
            free = len(recommender.items) - len(recommender.seen_items(rating.user))
            assert len(listed) == free

    def test_arrays_that_are_missing_are_named(self) -> None:
        saved = self.saved(self.learned(movielens_like(50)))
        del saved["seen.ids"]
        with pytest.raises(IncompatibleModelError, match=r"seen\.ids"):
            self.spec.build().load_state_dict(saved)

    def test_who_was_not_seen_for_longest_is_forgotten(self) -> None:
        recommender = replace(self.spec, max_users=20, max_items=40).build()
        seen: dict[str, None] = {}
        for rating in movielens_like(800):
            recommender.update(rating)
            seen.pop(rating.user, None)
            seen[rating.user] = None
            assert len(recommender.users) <= 20
            assert len(recommender.items) <= 40
            assert set(recommender.users.ids) == set(list(seen)[-len(recommender.users) :])
            assert recommender.model.n_user == len(recommender.users)
            assert recommender.model.n_item == len(recommender.items)
            listed = {item for item, _ in recommender.recommend(rating.user, 99)}
            assert rating.item in recommender.seen_items(rating.user)
            assert listed | recommender.seen_items(rating.user) == set(recommender.items.ids)
        assert len(seen) > 20

    def test_who_comes_back_is_new(self) -> None:
        recommender = replace(self.spec, max_users=3, max_items=30).build()
        for number in range(4):
            recommender.update(Rating(f"u{number}", f"i{number}", 5.0, 0.0))
        assert not recommender.knows("u0")
        assert recommender.users.ids == ["u2", "u3"]
        recommender.update(Rating("u0", "i3", 5.0, 0.0))
        assert recommender.seen_items("u0") == {"i3"}

    @pytest.mark.parametrize("cut", [1, 250, 399, 400])
    def test_a_saved_model_goes_on_forgetting_as_if_it_had_not_been_saved(self, cut: int) -> None:
        spec = replace(self.spec, max_users=20, max_items=40)
        ratings = movielens_like(500)
        loaded = spec.build()
        loaded.load_state_dict(self.saved(self.learned(ratings[:cut], spec)))
        for rating in ratings[cut:]:
            loaded.update(rating)
        assert same_arrays(loaded.state_dict(), self.learned(ratings, spec).state_dict())

    def test_all_shards_of_a_row_forget_the_same_users(self) -> None:
        spec = replace(self.spec, max_users=20)
        shards = [spec.build(Block(number, 3)) for number in range(3)]
        for rating in movielens_like(400):
            assert all([shard.update(rating) for shard in shards])
            assert shards[0].users.ids == shards[1].users.ids == shards[2].users.ids

    def test_an_item_of_weight_0_is_seen_and_no_more(self) -> None:
        ratings = movielens_like(200)
        recommender, plain = self.learned(ratings), self.learned(ratings)
        user = ratings[0].user
        item = next(one for one in plain.items.ids if one not in plain.seen_items(user))
        assert recommender.update(Rating(user, item, 5.0, 9e8, weight=0.0))
        assert recommender.seen_items(user) == plain.seen_items(user) | {item}
        model, plain_model = recommender.model.state_dict(), plain.model.state_dict()
        assert same_arrays(model, plain_model)
        assert item not in dict(recommender.recommend(user, 10_000))

    @pytest.mark.parametrize("repeats", ["never", "allow"])
    def test_what_a_user_does_not_want_is_not_listed_until_they_choose_it(
        self, repeats: str
    ) -> None:
        spec = replace(self.spec, repeats=repeats)
        recommender = self.learned(movielens_like(300), spec)
        user, item = recommender.users.ids[0], recommender.items.ids[0]
        recommender.update(Rating(user, item, 1.0, 9e8, weight=-1.0))
        loaded = spec.build()
        loaded.load_state_dict(self.saved(recommender))
        for one in (recommender, loaded):
            assert item not in dict(one.recommend(user, 10_000))
            assert one.candidates(user, item).scores[0] == -np.inf
            one.update(Rating(user, item, 5.0, 9e8))
            assert (item in dict(one.recommend(user, 10_000))) == (repeats == "allow")
        assert same_arrays(loaded.state_dict(), recommender.state_dict())

    def test_weights_of_any_size_keep_scores_finite(self) -> None:
        recommender = replace(self.spec, repeats="allow").build()
        weights = (1e-300, 1e-3, 1.0, 5.0, 1e300, 0.0, -1e300, -0.5)
        for number, rating in enumerate(movielens_like(300, users=20, items=40)):
            recommender.update(rating._replace(weight=weights[number % len(weights)]))
            user = recommender.users.get(rating.user) or 0
            assert np.isfinite(recommender.model.item_scores(user, (1.0,))).all()

    def test_who_was_not_seen_within_the_time_to_live_is_evicted(self) -> None:
        spec = replace(self.spec, user_ttl=100.0)
        recommender = spec.build()
        for number, time in enumerate((0.0, 50.0, 140.0)):
            recommender.update(Rating(f"u{number}", "i", 5.0, 1e9 + time))
        assert recommender.users.ids == ["u1", "u2"]
        loaded = spec.build()
        loaded.load_state_dict(self.saved(recommender))
        for one in (recommender, loaded):
            one.update(Rating("late", "i", 5.0, 1e9))
            one.update(Rating("u3", "i", 5.0, 1e9 + 155))
            assert one.users.ids == ["u2", "late", "u3"]
        assert same_arrays(loaded.state_dict(), recommender.state_dict())
