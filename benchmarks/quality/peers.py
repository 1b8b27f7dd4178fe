"""Outside recommenders on the same tests: the same positives in the same order, and their lists."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final, NamedTuple

import numpy as np

from benchmarks.programs import ROOT, Program, environment_of
from benchmarks.quality.outcomes import Costs, Outcome
from benchmarks.quality.peer_programs.wire import Report
from benchmarks.quality.protocols import Stream
from transforms.evaluation.prequential import Figures
from transforms.formats.records import Evaluation, Rating

_PROGRAMS: Final = "benchmarks.quality.peer_programs"
_ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "TQDM_DISABLE": "1",
}


class Peer(NamedTuple):
    """An outside recommender.

    Attributes:
        name: In tables.
        environment: Its environment's name; peers of one library share one.
        requirements: Of that environment.
        module: Run there as `python -m MODULE`, it answers the lines of `wire`.
        arguments: Of the module; `{retrain}` is how often it is to be retrained.
        at_most: With more tests it would take too long, so every second, third, ... is tested.
    """

    name: str
    environment: str
    requirements: tuple[str, ...]
    module: str
    arguments: tuple[str, ...] = ()
    at_most: int = 1_000_000

    def command(self, retrain: str) -> list[str]:
        """Returns the command line; makes the environment if it is missing.

        Raises:
            subprocess.CalledProcessError: The requirements cannot be installed.
        """
        python = environment_of(self.environment, Program(self.module, self.requirements, {}))
        filled = [argument.format(retrain=retrain) for argument in self.arguments]
        return [python, "-m", self.module, *filled]


_IMPLICIT: Final = ("implicit==0.7.2", "numpy==2.2.6", "scipy==1.15.3")
PEERS: Final[Mapping[str, Peer]] = {
    "river": Peer(
        "River BiasedMF",
        "River",
        ("river==0.26.1", "numpy==2.4.6"),
        f"{_PROGRAMS}.river_mf",
        at_most=2_000,
    ),
    "implicit-cosine": Peer(
        "implicit cosine",
        "implicit",
        _IMPLICIT,
        f"{_PROGRAMS}.implicit_retrained",
        ("cosine", "{retrain}"),
    ),
    "implicit-bpr": Peer(
        "implicit BPR",
        "implicit",
        _IMPLICIT,
        f"{_PROGRAMS}.implicit_retrained",
        ("bpr", "{retrain}"),
    ),
    "gru4rec": Peer(
        "GRU4Rec, Keras",
        "Keras",
        ("keras==3.15.1", "jax==0.10.2", "numpy==2.4.6"),
        f"{_PROGRAMS}.gru4rec",
        ("{retrain}",),
    ),
}


class PeerError(RuntimeError):
    """A peer's program ended, or answered with something else than a list of items."""


class _Line:
    """A peer's program, line by line."""

    def __init__(self, name: str, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._name = name
        self._process = process
        self._errors = errors

    def tell(self, *message: object) -> None:
        """Sends a line that has no answer."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
        except OSError as e:
            raise self._ended() from e

    def ask(self, *message: object) -> Any:
        """Sends a line, and returns its answer."""
        assert self._process.stdin
        assert self._process.stdout
        self.tell(*message)
        try:
            self._process.stdin.flush()
        except OSError as e:
            raise self._ended() from e
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> PeerError:
        self._process.wait()
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or ["nothing was said"])[-1]
        return PeerError(f"{self._name} ended with exit code {self._process.returncode}: {last}")


@contextmanager
def _running(name: str, command: Sequence[str]) -> Iterator[_Line]:
    environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": str(ROOT)}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield _Line(name, process, errors)
        except BaseException:
            process.kill()
            raise


def measure_peer(
    peer: Peer, command: Sequence[str], stream: Stream, top_n: int, repeats: Sequence[bool]
) -> Outcome:
    """Tests a peer's lists.

    Args:
        peer: For its name and how many tests it gets.
        command: Starts its program.
        stream: What it is told, and which lists it is asked for.
        top_n: Length of its lists.
        repeats: Of each test, whether lists may name items that the user has.

    Raises:
        PeerError: The program ended, or answered with something else than such a list.
    """
    every = max(1, -(-stream.tests // peer.at_most))
    name = f"{peer.name}, one test in {every}" if every > 1 else peer.name
    figures = Figures(top_n)
    tests: list[int] = []
    ranks: list[int] = []
    test = -1
    with _running(peer.name, command) as line:
        for rating, is_tested in zip(stream.ratings, stream.tested, strict=True):
            test += is_tested
            if is_tested and test % every == 0:
                question = ("list", rating.user, top_n, repeats[test], rating.timestamp)
                items = _checked(line.ask(*question), peer.name, top_n)
                rank = items.index(rating.item) + 1 if rating.item in items else 0
                figures.add(_evaluation(rating, rank, items, name))
                tests.append(test)
                ranks.append(rank)
            elif rating.weight > 0:
                figures.learn(rating.item)
            line.tell("learn", rating.user, rating.item, rating.timestamp, rating.weight)
        report = Report(**line.ask("end"))
    return Outcome(
        name,
        top_n,
        np.array(tests, dtype=np.int64),
        np.array(ranks, dtype=np.int64),
        np.array(repeats, dtype=np.bool)[tests],
        figures.total.model,
        lists_only=True,
        costs=Costs(
            report.training_seconds,
            report.training_seconds / max(1, report.learned) * 1e6,
            report.list_seconds / max(1, report.lists) * 1e6,
        ),
    )


def _checked(items: Any, name: str, top_n: int) -> list[str]:
    is_list = isinstance(items, list) and all(isinstance(item, str) for item in items)
    if not is_list or len(items) > top_n or len(set(items)) < len(items):
        msg = f"{name} answered {items!r}, expected at most {top_n} different ids"
        raise PeerError(msg)
    found: list[str] = items
    return found


def _evaluation(rating: Rating, rank: int, items: list[str], model: str) -> Evaluation:
    """Returns a test of which only the list is known: there are no other candidates."""
    known = (rating.origin, rating.user, rating.item, rank or None, max(1, len(items)), model)
    return Evaluation(*known, rating.timestamp, items, None, [], 0.0, 0.0)
