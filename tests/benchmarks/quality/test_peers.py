from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.quality.ours import Candidate, measure
from benchmarks.quality.peers import Peer, PeerError, measure_peer
from benchmarks.quality.protocols import Stream, next_click, prequential
from tests.support import movielens_like
from transforms.formats.records import Rating
from transforms.recommenders.registry import RecommenderSpec

PEER = Peer("fake", "fake", (), "fake")
POPULAR = """
import sys
from benchmarks.quality.peer_programs.wire import serve

class Nothing:
    def learn(self, user, item):
        print("what a library prints")
    def best(self, user, n, excluded):
        return None

with open(sys.argv[1], "w") as log:
    class Logged:
        def __iter__(self):
            for line in stdin:
                log.write(line)
                yield line
    stdin, sys.stdin = sys.stdin, Logged()
    serve(Nothing(), "")
"""


def _program(tmp_path: Path, code: str) -> list[str]:
    path = tmp_path / "peer.py"
    path.write_text(code)
    return [sys.executable, str(path), str(tmp_path / "log")]


def _clicks(text: str) -> list[Rating]:
    clicks = enumerate(text.split())
    return [Rating(click[0], click[1], 1.0, float(time)) for time, click in clicks]


def test_a_peer_is_told_what_our_models_learn_in_the_same_order(tmp_path: Path) -> None:
    stream = next_click(_clicks("ua vb"), [*_clicks("wa wb"), Rating("w", "c", 1.0, 9.0, weight=0)])
    outcome = measure_peer(PEER, _program(tmp_path, POPULAR), stream, 2, [True])
    told = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert told == [
        ["learn", "u", "a", 0.0, 1.0],
        ["learn", "v", "b", 1.0, 1.0],
        ["learn", "w", "a", 0.0, 1.0],
        ["list", "w", 2, True, 1.0],
        ["learn", "w", "b", 1.0, 1.0],
        ["learn", "w", "c", 9.0, 0],
        ["end"],
    ]
    assert outcome.ranks.tolist() == [2]
    assert outcome.lists_only


@pytest.mark.parametrize("repeats", ["never", "allow"])
def test_a_peer_that_lists_the_most_popular_is_as_good_as_ours(
    tmp_path: Path, repeats: str
) -> None:
    stream = prequential(movielens_like(400, users=15, items=40), 0.3)
    ours = measure(Candidate("popular", RecommenderSpec("popular", repeats=repeats)), stream, 10)
    allowed = ours.repeats.tolist()
    theirs = measure_peer(PEER, _program(tmp_path, POPULAR), stream, 10, allowed)
    assert theirs.hits.tolist() == ours.hits.tolist()
    assert theirs.reciprocals.tolist() == ours.reciprocals.tolist()
    for name in ("tests", "recall", "ndcg", "coverage"):
        assert getattr(theirs.scores, name) == pytest.approx(getattr(ours.scores, name))
    assert theirs.scores.mrr == pytest.approx(ours.reciprocals.mean())
    assert theirs.costs.training_seconds > 0
    assert theirs.costs.update_us == pytest.approx(theirs.costs.training_seconds / 400 * 1e6)


def test_a_slow_peer_takes_a_sample_of_the_tests(tmp_path: Path) -> None:
    stream = prequential(movielens_like(100, users=15, items=40), 0.3)
    slow = PEER._replace(at_most=30)
    everything = measure_peer(PEER, _program(tmp_path, POPULAR), stream, 5, [False] * 70)
    outcome = measure_peer(slow, _program(tmp_path, POPULAR), stream, 5, [False] * 70)
    assert outcome.name == "fake, one test in 3"
    assert outcome.tests.tolist() == list(range(0, 70, 3))
    assert outcome.ranks.tolist() == everything.ranks[::3].tolist()


def _stream() -> Stream:
    return prequential(_clicks("ua ub uc"), 0.5)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("['a', 'a']", r"fake answered \['a', 'a'\], expected at most 2 different ids"),
        ("['a', 'b', 'c']", "expected at most 2 different ids"),
        ("[1]", "expected at most 2 different ids"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, answers: str, message: str) -> None:
    code = f"import json, sys\nfor line in sys.stdin: print(json.dumps({answers}), flush=True)"
    with pytest.raises(PeerError, match=message):
        measure_peer(PEER, _program(tmp_path, code), _stream(), 2, [False, False])


def test_a_peer_that_ends_says_why(tmp_path: Path) -> None:
    command = _program(tmp_path, "import no_such_library")
    with pytest.raises(PeerError, match=r"fake ended with exit code 1: .*no_such_library"):
        measure_peer(PEER, command, _stream(), 2, [False, False])


def test_the_command_names_how_often_to_retrain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.quality.peers.environment_of", lambda *_: "python")
    peer = PEER._replace(module="some.peer", arguments=("bpr", "{retrain}"))
    assert peer.command("500") == ["python", "-m", "some.peer", "bpr", "500"]
