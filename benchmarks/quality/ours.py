"""Measures a model of this project, as the pipeline runs it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from beam_pipeline.options import hyperparameter_flags
from benchmarks.quality.outcomes import Costs, Outcome
from benchmarks.quality.protocols import Stream
from transforms.evaluation.observer import PreUpdateObserver, evaluate
from transforms.evaluation.prequential import Figures
from transforms.learning.shard import learn
from transforms.learning.warm_up import warm_up
from transforms.recommenders.registry import RecommenderSpec, config_class


class Candidate(NamedTuple):
    """A model to measure, and what it is called."""

    name: str
    spec: RecommenderSpec


def candidate(text: str, base: RecommenderSpec) -> Candidate:
    """Returns the model that `NAME` or `NAME,HYPERPARAMETER=VALUE,...` means.

    Args:
        text: What the user wrote.
        base: For seed, repeats and bounds; for the hyperparameters, too, if they are of this
            model and the text has none.

    Raises:
        ValueError: There is no such model or hyperparameter, or the value is none for it.
    """
    model, *pairs = text.split(",")
    own = {one.name for one in fields(config_class(model))}
    parsers = {flag.name: flag.type for flag in hyperparameter_flags()}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in own:
            has = ", ".join(sorted(own)) or "none"
            msg = f"{name!r} is no hyperparameter of {model}, expected {has}"
            raise ValueError(msg)
        values[name] = parsers[name](value)
    if not pairs and model == base.model:
        values = base.hyperparameters
    return Candidate(text, replace(base, model=model, hyperparameters=values))


def measure(model: Candidate, stream: Stream, top_n: int) -> Outcome:
    """Learns a stream with a new recommender, and tests what is to be tested before it."""
    warm_up(model.spec)
    recommender = model.spec.build()
    figures = Figures(top_n)
    ranks: list[int] = []
    repeats: list[bool] = []
    seconds = 0.0
    pairs = zip(stream.ratings, stream.tested, strict=True)
    for is_tested, part in itertools.groupby(pairs, itemgetter(1)):
        ratings = [rating for rating, _ in part]
        if not is_tested:
            seconds += learn(recommender, ratings, 0).update_us * len(ratings) / 1e6
            for rating in ratings:
                if rating.weight > 0:
                    figures.learn(rating.item)
            continue
        for rating in ratings:
            repeats.append(recommender.allow_repeats)
            observer = PreUpdateObserver(top_n)
            done = learn(recommender, [rating], top_n, observer=observer)
            seconds += done.update_us / 1e6
            costs = done.update_us, done.top_n_us
            tested = evaluate(rating, observer.scores, model.name, top_n, *costs)
            figures.add(tested)
            ranks.append(tested.rank or 0)
    total = figures.total
    size = sum(array.nbytes for array in recommender.state_dict().values())
    return Outcome(
        model.name,
        top_n,
        np.arange(len(ranks)),
        np.array(ranks, dtype=np.int64),
        np.array(repeats, dtype=np.bool),
        total.model,
        lists_only=False,
        costs=Costs(seconds, total.update_us, total.top_n_us, size / 1e6),
    )


def variants(model: Candidate, factors: Sequence[float]) -> list[Candidate]:
    """Returns the model, and it with one numeric hyperparameter multiplied by each factor.

    Values that the model refuses are left out.
    """
    config = model.spec.config
    found = [model]
    for one in fields(config):
        value = getattr(config, one.name)
        if type(value) not in {int, float} or not value:
            continue
        for factor in factors:
            changed = type(value)(value * factor)
            values = {**model.spec.hyperparameters, one.name: changed}
            name = f"{model.spec.model},{one.name}={changed:g}"
            with suppress(ValueError):
                found.append(Candidate(name, replace(model.spec, hyperparameters=values)))
    return found
