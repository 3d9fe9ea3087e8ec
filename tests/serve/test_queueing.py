import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.serve import queueing
from netchu.serve.queueing import FullError, TaskQueue
from netchu.serve.worker_process import NotWantedError


def task(*arguments):
    """Stands for a task; `Echo` does not call it."""


class Echo:
    """Returns the arguments of a task; waits while not free, and notes what it was given."""

    def __init__(self, free=True):
        self.given = []
        self.begun = threading.Semaphore(0)
        self.free = threading.Event()
        self.closed = 0
        if free:
            self.free.set()

    def run(self, task, arguments, seconds, is_wanted):
        self.given.append(arguments[0])
        self.begun.release()
        while not self.free.wait(0.01):
            if not is_wanted():
                raise NotWantedError
        if arguments[0] == "bad":
            raise NetchuError("bad")
        return (*arguments, seconds)

    def close(self):
        self.closed += 1


@pytest.fixture
def queue():
    made = []

    def make(echo, workers=1, capacity=64, capacity_per_address=64):
        made.append(TaskQueue(lambda: echo, workers, capacity, capacity_per_address, 7))
        return made[-1]

    yield make
    for each in made:
        each.close()


def results(futures):
    return [future.result(10) for future in futures]


def test_each_call_gets_its_own_result(queue):
    waiting = queue(Echo(), workers=3)
    futures = waiting.submit("a", task, [("x", 1), ("y", 2)])
    assert results(futures) == [("x", 1, 7), ("y", 2, 7)]


def test_addresses_and_their_requests_take_turns(queue):
    echo = Echo(free=False)
    waiting = queue(echo)
    futures = waiting.submit("a", task, [("first",)])
    assert echo.begun.acquire(timeout=10)
    for address, names in (("a", "a1 a2 a3"), ("a", "A1 A2"), ("b", "b1 b2"), ("c", "c1")):
        futures += waiting.submit(address, task, [(name,) for name in names.split()])
    echo.free.set()
    results(futures)
    assert echo.given[1:] == ["a1", "b1", "c1", "A1", "b2", "a2", "A2", "a3"]


def test_an_address_never_occupies_all_workers(queue):
    echo = Echo(free=False)
    waiting = queue(echo, workers=3)
    waiting.submit("a", task, [(n,) for n in range(9)])
    for _ in range(2):
        assert echo.begun.acquire(timeout=10)
    assert not echo.begun.acquire(timeout=0.2)
    waiting.submit("b", task, [("b",)])
    assert echo.begun.acquire(timeout=10)
    assert echo.given == [0, 1, "b"]


def test_submit_fails_when_the_queue_or_the_share_of_an_address_is_full(queue):
    echo = Echo(free=False)
    waiting = queue(echo, capacity=4, capacity_per_address=3)
    futures = waiting.submit("a", task, [(1,), (2,)])
    with pytest.raises(FullError):
        waiting.submit("a", task, [(3,), (4,)])
    futures += waiting.submit("a", task, [(3,)])
    with pytest.raises(FullError):
        waiting.submit("b", task, [(4,), (5,)])
    futures += waiting.submit("b", task, [(4,)])
    with pytest.raises(FullError):
        waiting.submit("c", task, [(5,)])
    echo.free.set()
    assert len(results(futures)) == 4
    waiting.close()
    assert waiting.pending == 0


def test_places_are_given_back(queue):
    waiting = queue(Echo(), capacity=2, capacity_per_address=2)
    for number in range(20):
        assert len(results(waiting.submit("a", task, [(number,), (number,)]))) == 2
        while waiting.pending:
            pass


def test_a_closed_queue_cancels_its_tasks_and_refuses_others(queue):
    echo = Echo(free=False)
    waiting = queue(echo, workers=2)
    futures = waiting.submit("a", task, [(n,) for n in range(4)])
    assert echo.begun.acquire(timeout=10)
    waiting.close()
    assert all(future.cancelled() for future in futures)
    assert echo.given == [0]
    assert echo.closed == 2
    with pytest.raises(FullError):
        waiting.submit("a", task, [(1,)])


def test_closing_does_not_wait_for_a_worker_that_starts(monkeypatch):
    monkeypatch.setattr(queueing, "CLOSE_SECONDS", 0.2)
    started = threading.Event()
    waiting = TaskQueue(lambda: started.wait(10) and Echo(), 3, 9, 9, 7)
    begin = time.monotonic()
    waiting.close()
    assert time.monotonic() - begin < 2
    started.set()


def test_cancelled_tasks_are_not_run_and_running_ones_are_ended(queue):
    echo = Echo(free=False)
    waiting = queue(echo)
    first, second, third = waiting.submit("a", task, [("x",), ("y",), ("z",)])
    assert echo.begun.acquire(timeout=10)
    assert second.cancel()
    assert first.cancel()
    assert echo.begun.acquire(timeout=10)
    echo.free.set()
    assert third.result(10) == ("z", 7)
    assert echo.given == ["x", "z"]


def test_an_error_fails_only_its_own_task(queue):
    waiting = queue(Echo())
    good, bad, too = waiting.submit("a", task, [("a",), ("bad",), ("c",)])
    assert results([good, too]) == [("a", 7), ("c", 7)]
    with pytest.raises(NetchuError):
        bad.result(10)
    assert results(waiting.submit("a", task, [("later",)])) == [("later", 7)]


@settings(max_examples=30, deadline=None)
@given(
    workers=st.integers(1, 3),
    requests=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=30),
)
def test_every_task_runs_once(workers, requests):
    echo = Echo()
    waiting = TaskQueue(lambda: echo, workers, 10**6, 10**6, 7)
    asked = [
        (address, number, n) for number, (address, count) in enumerate(requests)
        for n in range(count)
    ]  # fmt: skip
    futures = []
    for number, (address, count) in enumerate(requests):
        calls = [((address, number, n),) for n in range(count)]
        futures += waiting.submit(address, task, calls)
    assert [result[0] for result in results(futures)] == asked
    waiting.close()
    assert sorted(echo.given) == sorted(asked)
    assert waiting.pending == 0
