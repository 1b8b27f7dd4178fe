from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.quality.ours import Candidate, candidate, measure, variants
from benchmarks.quality.protocols import next_click, prequential
from tests.support import movielens_like
from transforms.formats.records import Rating
from transforms.recommenders.registry import RecommenderSpec

TOP_N = 5
BASE = RecommenderSpec(seed=7, repeats="allow", max_users=99)


def _sessions(count: int) -> list[Rating]:
    draws = np.random.default_rng(2)
    return [
        Rating(f"s{number // 4 % 6}-{number // 24}", f"i{draws.integers(9)}", 1.0, float(number))
        for number in range(count)
    ]


@pytest.mark.parametrize("model", ["itemknn", "popular", "vmisknn"])
@pytest.mark.parametrize("repeats", ["never", "allow", "auto"])
def test_measures_what_a_plain_loop_would_have_listed(model: str, repeats: str) -> None:
    clicks = _sessions(240)
    stream = next_click(clicks[:120], clicks[120:])
    spec = RecommenderSpec(model, repeats=repeats)
    outcome = measure(Candidate("one", spec), stream, TOP_N)

    recommender = spec.build()
    hits, reciprocals, gains = [], [], []
    for click, is_tested in zip(stream.ratings, stream.tested, strict=True):
        if is_tested:
            items = [item for item, _ in recommender.recommend(click.user, TOP_N)]
            rank = items.index(click.item) + 1 if click.item in items else math.inf
            hits.append(rank <= TOP_N)
            reciprocals.append(1 / rank)
            gains.append(1 / math.log2(rank + 1) if rank <= TOP_N else 0.0)
        recommender.update(click)
    assert outcome.hits.tolist() == hits
    assert outcome.reciprocals.tolist() == pytest.approx(reciprocals)
    assert outcome.gains.tolist() == pytest.approx(gains)
    assert outcome.scores.recall == pytest.approx(np.mean(hits))
    assert outcome.scores.ndcg == pytest.approx(np.mean(gains))
    assert outcome.tests.tolist() == list(range(stream.tests))
    assert outcome.repeats.all() == (repeats != "never")


def test_costs_are_of_everything_learned() -> None:
    stream = prequential(movielens_like(200, users=10, items=30), 0.3)
    costs = measure(Candidate("popular", RecommenderSpec("popular")), stream, TOP_N).costs
    assert costs.training_seconds * 1e6 > costs.update_us * stream.tests > 0
    assert costs.megabytes
    assert costs.top_n_us > 0


def test_a_candidate_has_its_own_hyperparameters_and_all_else_of_the_base() -> None:
    name, spec = candidate("itemknn,half_life=1.5,neighbors=20", BASE)
    assert name == "itemknn,half_life=1.5,neighbors=20"
    assert spec.hyperparameters == {"half_life": 1.5, "neighbors": 20}
    assert (spec.seed, spec.repeats, spec.max_users) == (7, "allow", 99)


def test_hyperparameters_of_the_command_line_are_for_the_model_that_it_names() -> None:
    base = RecommenderSpec("mf", {"k": 3})
    assert candidate("mf", base).spec.hyperparameters == {"k": 3}
    assert candidate("bprmf", base).spec.hyperparameters == {}
    assert candidate("mf,k=5", base).spec.hyperparameters == {"k": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "'best' is not a model"),
        ("itemknn,halflife=2", "'halflife' is no hyperparameter of itemknn, expected .*half_life"),
        ("itemknn,half_life=long", "could not convert"),
        ("itemknn,half_life=-1", "half_life is -1.0"),
        ("popular,k=3", "expected none"),
    ],
)
def test_what_is_no_model_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        candidate(text, BASE)


def test_variants_change_one_hyperparameter_at_a_time() -> None:
    found = variants(candidate("mf", BASE), (0.5, 2.0))
    assert found[0].spec.hyperparameters == {}
    changed = [one.spec.hyperparameters for one in found[1:]]
    assert {"k": 20} in changed
    assert {"k": 80} in changed
    assert {"learn_rate": 0.3} in changed
    assert {"learn_rate": 1.2} not in changed  # No step size.
    assert all(len(values) == 1 for values in changed)
    assert len({one.name for one in found}) == len(found)
