"""Compares evaluation files, each a run of one model, on the tests that they share."""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Final, NamedTuple

from transforms.errors import MalformedRecordError
from transforms.evaluation.prequential import Figures, McNemar, Outcome
from transforms.formats.json_lines import decode_evaluation
from transforms.formats.records import Evaluation

POPULAR: Final = "most popular"
_POINTS: Final = 400
_EXAMPLES: Final = 4


class Point(NamedTuple):
    """The sliding window after a number of tests."""

    tests: int
    recent: Outcome


class Run(NamedTuple):
    """The results of one file.

    Attributes:
        name: The model's name, with the file's where two runs have the same model.
        repeats: Records that were dropped as repeats of an origin.
        total: All tests.
        points: The sliding window, along the stream.
        longest: Length of the longest list.
        examples: The tests that are shown, the same in each run.
        hits: 1 where the item was in the top N, by number of the test.
        popular_hits: The same for "most popular".
    """

    name: str
    repeats: int
    total: Outcome
    points: list[Point]
    longest: int
    examples: list[Evaluation]
    hits: bytearray
    popular_hits: bytearray


class Duel(NamedTuple):
    """McNemar's test of two models along the stream.

    Attributes:
        first: Name of the first model.
        second: Name of the second.
        first_better: Share of the tests after which the first was better at the 99 % level.
        second_better: Share after which the second was.
        points: The number of a test, and the statistic after it.
    """

    first: str
    second: str
    first_better: float
    second_better: float
    points: list[tuple[int, float]]


class Comparison(NamedTuple):
    """Runs on the same tests.

    Attributes:
        tests: How many tests count.
        warm_up: How many earlier tests do not count.
        unpaired: Number of records of tests that some run lacks.
        runs: In the order of the files.
        duels: Each run against the later ones, then each against "most popular".
    """

    tests: int
    warm_up: int
    unpaired: int
    runs: list[Run]
    duels: list[Duel]


def compare(paths: Sequence[str], *, warm_up: float, window: int, top_n: int) -> Comparison:
    """Compares the runs in these files, test by test.

    The files are read twice; only origins and hits are held in memory.

    Args:
        paths: The files.
        warm_up: Share of the tests, 0 to below 1, that do not count.
        window: Number of tests in the sliding window.
        top_n: N of recall and the like.

    Raises:
        OSError: A file cannot be read.
        MalformedRecordError: A line is not an evaluation record, or of another model than the
            file's first, or the files have no test in common, or different tests under one
            origin; the text says where.
    """
    files = [_scan(path) for path in paths]
    first, others = files[0].origins, [file.origins for file in files[1:]]
    shared = [origin for origin in first if all(origin in other for other in others)]
    for file in files[1:]:
        _require_the_same(files[0], file, shared)
    if not shared:
        msg = f"{' and '.join(paths)} have no test in common: expected runs on the same stream"
        raise MalformedRecordError(msg)
    skipped = int(len(shared) * warm_up)
    numbers = {origin: number for number, origin in enumerate(shared[skipped:])}
    runs: list[Run] = []
    for file, name in zip(files, _names(files), strict=True):
        wanted = {one.origin for one in runs[0].examples} if runs else None
        runs.append(_measure(file, name, numbers, Figures(top_n, window), top_n, wanted))
    return Comparison(
        len(numbers),
        skipped,
        sum(len(file.origins) - len(shared) for file in files),
        runs,
        [
            *(
                _duel((a.name, a.hits), (b.name, b.hits), window)
                for a, b in itertools.combinations(runs, 2)
            ),
            *(_duel((a.name, a.hits), (POPULAR, a.popular_hits), window) for a in runs),
        ],
    )


class _File(NamedTuple):
    """A file after the first pass.

    Attributes:
        path: Its path.
        model: Of its records.
        origins: In order, each with a hash of user and item.
        repeats: How many records repeat an origin.
    """

    path: str
    model: str
    origins: dict[str, int]
    repeats: int


def _require_the_same(first: _File, second: _File, shared: Sequence[str]) -> None:
    for origin in shared:
        if first.origins[origin] != second.origins[origin]:
            msg = (
                f"{first.path} and {second.path} have tests of different users or items at"
                f" {origin}: expected runs on the same stream"
            )
            raise MalformedRecordError(msg)


def _records(path: str) -> Iterator[Evaluation]:
    """Reads all records of a file, repeats included."""
    model = ""
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = decode_evaluation(line)
            except MalformedRecordError as e:
                msg = f"{path}:{number}: {e}; expected what --evaluation writes"
                raise MalformedRecordError(msg) from e
            model = model or record.model
            if record.model != model:
                msg = f"{path}:{number}: a record of {record.model!r} in a run of {model!r}"
                raise MalformedRecordError(msg)
            yield record


def _scan(path: str) -> _File:
    model, count = "", 0
    origins: dict[str, int] = {}
    for record in _records(path):
        model = record.model
        origins.setdefault(record.origin, hash((record.user, record.item)))
        count += 1
    if not count:
        msg = f"{path} is empty: expected what --evaluation writes"
        raise MalformedRecordError(msg)
    return _File(path, model, origins, count - len(origins))


def _names(files: Sequence[_File]) -> list[str]:
    """Returns distinct names: the model, with the file where needed."""
    models = Counter(file.model for file in files)
    stems = Counter((file.model, Path(file.path).stem) for file in files)
    names = []
    for file in files:
        stem = Path(file.path).stem
        where = stem if stems[file.model, stem] == 1 else file.path
        alone = models[file.model] == 1 and file.model != POPULAR
        names.append(file.model if alone else f"{file.model} ({where})")
    return names


def _measure(
    file: _File,
    name: str,
    numbers: Mapping[str, int],
    figures: Figures,
    top_n: int,
    wanted: Set[str] | None,
) -> Run:
    """Evaluates a run's tests.

    Args:
        file: The run's file.
        name: For the run.
        numbers: The number of each test that counts, by origin.
        figures: Empty sums.
        top_n: N of a hit.
        wanted: Origins of the examples; None for the last tests of some users.
    """
    points: list[Point] = []
    hits, popular_hits = bytearray(len(numbers)), bytearray(len(numbers))
    examples: OrderedDict[str, Evaluation] = OrderedDict()
    step = max(1, len(numbers) // _POINTS)
    fresh = dict.fromkeys(file.origins, True)
    tests = longest = 0
    for record in _records(file.path):
        if not fresh[record.origin]:
            continue
        fresh[record.origin] = False
        number = numbers.get(record.origin)
        if number is None:
            figures.learn(record.item)
            continue
        figures.add(record)
        tests += 1
        longest = max(longest, len(record.items))
        hits[number] = (record.rank or math.inf) <= top_n
        popular_hits[number] = (record.popular_rank or math.inf) <= top_n
        if tests % step == 0 or tests == len(numbers):
            points.append(Point(tests, figures.recent))
        if wanted is None:
            examples[record.user] = record
            examples.move_to_end(record.user)
            if len(examples) > _EXAMPLES:
                examples.popitem(last=False)
        elif record.origin in wanted:
            examples[record.user] = record
    return Run(
        name=name,
        repeats=file.repeats,
        total=figures.total,
        points=points,
        longest=longest,
        examples=list(examples.values()),
        hits=hits,
        popular_hits=popular_hits,
    )


def _duel(first: tuple[str, bytearray], second: tuple[str, bytearray], window: int) -> Duel:
    test = McNemar(window)
    wins: Counter[int] = Counter()
    points = []
    count = len(first[1])
    step = max(1, count // _POINTS)
    for number, (one, other) in enumerate(zip(first[1], second[1], strict=True), start=1):
        test.add(bool(one), bool(other))
        wins[test.better] += 1
        if number % step == 0 or number == count:
            points.append((number, test.statistic))
    return Duel(first[0], second[0], wins[1] / count, wins[-1] / count, points)
