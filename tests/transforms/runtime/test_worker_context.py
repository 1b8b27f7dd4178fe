from __future__ import annotations

import threading

from transforms.runtime.worker_context import WorkerContext


class _Client:
    closed: list[_Client]

    def __init__(self) -> None:
        self.closed = _CLOSED

    def close(self) -> None:
        self.closed.append(self)


class _Second(_Client):
    pass


_CLOSED: list[_Client] = []


def test_each_class_has_one_instance() -> None:
    context = WorkerContext()
    assert context.get(_Client) is context.get(_Client)
    assert context.get(_Second) is not context.get(_Client)
    assert WorkerContext().get(_Client) is not context.get(_Client)


def test_threads_get_the_same_instance() -> None:
    context, found = WorkerContext(), []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(context.get(_Client))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_closing_closes_the_newest_first_and_starts_over() -> None:
    context = WorkerContext()
    first, second = context.get(_Client), context.get(_Second)
    context.get(dict)
    _CLOSED.clear()
    context.close()
    assert [second, first] == _CLOSED
    assert context.get(_Client) is not first
