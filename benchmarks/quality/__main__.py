"""How good each model is on a stream, with confidence intervals, beside outside peers.

    python -m benchmarks.quality --protocol five_star
    python -m benchmarks.quality --protocol positives
    python -m benchmarks.quality --protocol prequential --input clicks.csv --repeats auto
    python -m benchmarks.quality --protocol next_click --input train.tsv --test valid.tsv \
        --fields user=SessionId,item=ItemId,timestamp=Time --repeats allow --top_n 20
    python -m benchmarks.quality --protocol five_star --tune itemknn

`prequential` learns the first share of the positives, and tests each of the rest before it learns
it; `five_star` and `positives` do so on MovieLens 100K. `next_click` learns the files of
`--input`, then goes through those of `--test`: each click of a session but the first is tested
before it is learned. Positives come in the order of time, ties as the files have them. Candidates
are the items seen by then, without those that the user has where repeats are not allowed; an item
that was not seen by then is a miss; a user who was not is shown the most popular items.

All other flags are those of `python -m beam_pipeline` for reading records and for the model:
`--input_format`, `--fields`, `--event_weights`, `--timestamp_unit`, `--min_rating`, `--repeats`,
`--top_n`, `--seed`, hyperparameters. `--tune` tries other values of one hyperparameter at a time:
on prequential streams it sees the part alone that is only learned, and tests all but its first
quarter; on sessions it uses `--test`, so name a validation part there.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec

from beam_pipeline.failures import EXPECTED, reason_of
from beam_pipeline.movielens import DEFAULT_FOLDER, DownloadError, fetch
from beam_pipeline.options import ModelOptions
from beam_pipeline.settings import Settings, parse
from beam_pipeline.usage import Parser, UsageError
from benchmarks.quality.history import history
from benchmarks.quality.ours import candidate, measure, variants
from benchmarks.quality.outcomes import Outcome
from benchmarks.quality.peer_programs.wire import DAY
from benchmarks.quality.peers import PEERS, PeerError, measure_peer
from benchmarks.quality.protocols import (
    NEXT_CLICK,
    PREQUENTIAL,
    PRESETS,
    PROTOCOLS,
    Stream,
    next_click,
    prequential,
    tuning_part,
)
from benchmarks.quality.streams import read_positives
from benchmarks.quality.table import whole
from transforms.formats.records import Rating
from transforms.recommenders.registry import DEFAULT_MODEL, MODEL_NAMES

_Arguments = ParamSpec("_Arguments")
_FACTORS: Final = (0.25, 0.5, 2.0, 4.0)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="five_star")
    parser.add_argument(
        "--data", metavar="PATH", help="u.data for five_star and positives (default: downloaded)"
    )
    parser.add_argument("--input", metavar="PATH|GLOB", help="file(s) to learn, and to test")
    parser.add_argument("--test", metavar="PATH|GLOB", help="file(s) that next_click tests")
    parser.add_argument(
        "--warm_up",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of the positives that a prequential protocol only learns (default: 0.3)",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME[,HYPERPARAMETER=VALUE...]",
        default=[DEFAULT_MODEL, *(name for name in MODEL_NAMES if name != DEFAULT_MODEL)],
        help="models to measure; the first is what the others are compared with (default: all,"
        f" {DEFAULT_MODEL} first)",
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=tuple(PEERS),
        default=[],
        help="outside recommenders to measure, too, each in an environment of its own, made at the"
        " first use",
    )
    parser.add_argument(
        "--retrain",
        metavar=f"{DAY}|POSITIVES",
        type=_schedule,
        default=DAY,
        help="how often peers that do not learn incrementally are retrained: before the first list"
        f" of each {DAY}, or after so many positives (default: {DAY})",
    )
    parser.add_argument("--tune", metavar="MODEL", help="try other hyperparameters of this model")
    return parser


def _schedule(text: str) -> str:
    if text != DAY and not (text.isdecimal() and int(text)):
        msg = f"{text!r} is neither {DAY} nor a number of positives"
        raise argparse.ArgumentTypeError(msg)
    return text


def main(argv: Sequence[str]) -> int:
    """Prints tables in Markdown, or tunes; returns the exit code."""
    # Each model would say once more what `--repeats auto` took.
    logging.getLogger("transforms.recommenders.repeats").setLevel(logging.ERROR)
    try:
        arguments, others = _parser().parse_known_args(argv)
        _run(arguments, _settings(arguments, others))
    except (UsageError, ValueError) as e:
        _say(f"error: {e}")
        return 2
    except (DownloadError, subprocess.CalledProcessError, *EXPECTED) as e:
        _say(f"error: {reason_of(e) or e}")
        return 1
    return 0


def _settings(arguments: argparse.Namespace, others: Sequence[str]) -> Settings:
    preset = PRESETS.get(arguments.protocol)
    if preset is not None:
        if arguments.input:
            msg = f"--protocol {arguments.protocol} reads --data; for --input take {PREQUENTIAL}"
            raise UsageError(msg)
        others = [*others, f"--min_rating={preset}"]
    elif not arguments.input:
        msg = f"--protocol {arguments.protocol} needs --input"
        raise UsageError(msg)
    if (arguments.protocol == NEXT_CLICK) != bool(arguments.test):
        msg = f"--test is for --protocol {NEXT_CLICK}, which needs it"
        raise UsageError(msg)
    settings = parse(others)
    if settings.input_topic or settings.output or settings.beam.view_as(ModelOptions).top_n < 1:
        msg = "lists of --top_n 1 or more are tested from files: no --input_topic, no --output"
        raise UsageError(msg)
    return settings


def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    top_n = settings.beam.view_as(ModelOptions).top_n
    models = [candidate(text, settings.spec) for text in arguments.models]
    tuned = candidate(arguments.tune, settings.spec) if arguments.tune else None
    stream = _stream(arguments, settings)
    if tuned:
        for variant in variants(tuned, _FACTORS):
            outcome = measure(variant, tuning_part(stream), top_n)
            recall, mrr = outcome.scores.recall, float(outcome.reciprocals.mean())
            print(f"{recall:.4f} {mrr:.4f}  {variant.name}", flush=True)
        return
    commands = {name: PEERS[name].command(arguments.retrain) for name in arguments.peers}
    outcomes = [_said(measure, model, stream, top_n) for model in models]
    repeats = outcomes[0].repeats.tolist()
    left_out = []
    for name, command in commands.items():
        try:
            outcomes.append(_said(measure_peer, PEERS[name], command, stream, top_n, repeats))
        except PeerError as e:
            left_out.append(f"Left out: {e}.")
            _say(left_out[-1])
    print(f"{len(stream.ratings)} positives, {stream.tests} tests", end="; ")
    print(f"{sum(repeats)} of the lists could name items that the user had.\n")
    print("\n".join([whole(outcomes, history(stream)), *left_out]))


def _said(
    measure_one: Callable[_Arguments, Outcome], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> Outcome:
    """Measures, and says what came out, as the table comes when all are done."""
    started = time.monotonic()
    outcome = measure_one(*args, **kwargs)
    _say(
        f"{outcome.name}: recall {outcome.scores.recall:.4f}, MRR"
        f" {outcome.reciprocals.mean():.4f}, {time.monotonic() - started:.0f} s"
    )
    return outcome


def _stream(arguments: argparse.Namespace, settings: Settings) -> Stream:
    pattern = arguments.input
    if arguments.protocol in PRESETS:
        pattern = arguments.data or str(fetch(DEFAULT_FOLDER))
    learned = _read(pattern, settings)
    if arguments.protocol == NEXT_CLICK:
        return next_click(learned, _read(arguments.test, settings))
    return prequential(learned, arguments.warm_up)


def _read(pattern: str, settings: Settings) -> list[Rating]:
    found = read_positives(pattern, settings)
    for note in found.notes:
        _say(note)
    kept = len(found.ratings)
    filtered = found.read - kept - found.dead
    _say(f"{pattern}: read={found.read} positives={kept} filtered={filtered} dead={found.dead}")
    return found.ratings


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
