"""How good each model is on MovieLens 100K, tested with each positive before it is learned.

    python -m benchmarks.quality --protocol five_star
    python -m benchmarks.quality --protocol positives
    python -m benchmarks.quality --protocol five_star --tune itemknn

The ratings that the protocol keeps, in the order of time, ties as the file has them; the first
30 % are only learned, each of the rest is a test and then learned. Candidates are the items seen
by then that the user does not have; an item that was not seen by then is a miss; a user who was
not seen by then is shown the most popular items. `--tune` sees the first 30 % alone: it learns
their first quarter, tests on the rest of them, and tries other values of one hyperparameter at
a time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, NamedTuple

from beam_pipeline.movielens import DEFAULT_FOLDER, fetch
from transforms.batches import RawBatch
from transforms.evaluation.observer import PreUpdateObserver, evaluate
from transforms.evaluation.prequential import Figures, Scores
from transforms.formats.delimited import MOVIELENS_TABS
from transforms.formats.detection import RecordFormat
from transforms.formats.records import Rating
from transforms.learning.shard import learn
from transforms.parse import parse
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec

TOP_N: Final = 10
_WARM_UP: Final = 0.3
_TUNED_ON: Final = 0.25
_FACTORS: Final = (0.25, 0.5, 2.0, 4.0)


class Protocol(NamedTuple):
    """Which ratings are positives."""

    least: float
    description: str


PROTOCOLS: Final = {
    "five_star": Protocol(5.0, "ratings of 5"),
    "positives": Protocol(3.0, "ratings of 3 or more"),
}


class Result(NamedTuple):
    """What one model showed.

    Attributes:
        scores: Its quality.
        popular: That of "most popular" on the same tests.
        update_us: Microseconds of learning one positive.
        top_n_us: Microseconds of making one list.
        megabytes: Size of the state at the end, in units of 10^6 bytes.
    """

    scores: Scores
    popular: Scores
    update_us: float
    top_n_us: float
    megabytes: float


def positives(path: Path, protocol: Protocol) -> list[Rating]:
    """Returns a MovieLens file's positives in the order of time."""
    lines = path.read_bytes().splitlines()
    form = RecordFormat("delimited", MOVIELENS_TABS)
    ratings, _ = parse(RawBatch("", range(len(lines)), lines, form))
    kept = [rating for rating in ratings if rating.rating >= protocol.least]
    return sorted(kept, key=lambda rating: rating.timestamp)


def measure(spec: RecommenderSpec, ratings: Sequence[Rating], warm_up: int) -> Result:
    """Learns the first `warm_up` ratings, then tests and learns each of the others."""
    recommender = spec.build()
    figures = Figures(TOP_N)
    for rating in ratings[:warm_up]:
        recommender.update(rating)
        figures.learn(rating.item)
    for rating in ratings[warm_up:]:
        observer = PreUpdateObserver(TOP_N)
        done = learn(recommender, [rating], TOP_N, observer=observer)
        times = done.update_us, done.top_n_us
        figures.add(evaluate(rating, observer.scores, spec.model, TOP_N, *times))
    outcome = figures.total
    size = sum(array.nbytes for array in recommender.state_dict().values())
    return Result(outcome.model, outcome.popular, outcome.update_us, outcome.top_n_us, size / 1e6)


def neighbours(spec: RecommenderSpec) -> Iterator[dict[str, Any]]:
    """Gives the spec's hyperparameters with one of them a quarter to four times as large."""
    config = spec.config
    for hyperparameter in fields(config):
        value = getattr(config, hyperparameter.name)
        if type(value) not in {int, float} or not value:
            continue
        for factor in _FACTORS:
            yield {**spec.hyperparameters, hyperparameter.name: type(value)(value * factor)}


def tune(model: str, ratings: Sequence[Rating]) -> None:
    """Prints how other hyperparameters do, on the first part of the ratings alone."""
    first = ratings[: int(_WARM_UP * len(ratings))]
    warm_up = int(_TUNED_ON * len(first))
    spec = RecommenderSpec(model)
    for hyperparameters in ({}, *neighbours(spec)):
        result = measure(RecommenderSpec(model, hyperparameters), first, warm_up)
        changed = ", ".join(f"{name}={value:g}" for name, value in hyperparameters.items())
        print(f"{result.scores.recall:.4f}  {changed or 'as it is'}", flush=True)


def row(name: str, scores: Scores, costs: Sequence[str]) -> str:
    """Returns a line of the table."""
    quality = (
        f"{scores.recall:.3f}",
        f"{scores.ndcg:.3f}",
        f"{scores.mrr:.3f}",
        f"{scores.mpr:.1f}",
        f"{scores.coverage:.2f}",
    )
    return "| " + " | ".join((f"`{name}`", *quality, *costs)) + " |"


def main(argv: Sequence[str]) -> int:
    """Prints a table in Markdown, or tunes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), default="five_star")
    parser.add_argument("--models", nargs="+", choices=MODEL_NAMES, default=MODEL_NAMES)
    parser.add_argument("--tune", metavar="MODEL", choices=MODEL_NAMES)
    parser.add_argument("--data", type=Path, help="another file in the form of u.data")
    arguments = parser.parse_args(argv)
    protocol = PROTOCOLS[arguments.protocol]
    ratings = positives(arguments.data or fetch(DEFAULT_FOLDER), protocol)
    if arguments.tune:
        tune(arguments.tune, ratings)
        return 0
    warm_up = int(_WARM_UP * len(ratings))
    print(f"{len(ratings)} {protocol.description}, the last {len(ratings) - warm_up} tested\n")
    print("| model | recall@10 | NDCG@10 | MRR | MPR | coverage | update, us | list, us | MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in arguments.models:
        started = time.monotonic()
        result = measure(RecommenderSpec(model), ratings, warm_up)
        costs = (
            f"{result.update_us:.1f}",
            f"{result.top_n_us:.1f}",
            f"{result.megabytes:.1f}",
        )
        print(row(model, result.scores, costs), flush=True)
        print(f"{model}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
