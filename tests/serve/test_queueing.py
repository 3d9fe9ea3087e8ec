import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.serve import queueing
from netchu.serve.queueing import MAX_BATCH, FullError, ReadingQueue


class Echo:
    """Reads an image as its own bytes, records the sizes of batches and blocks while not free."""

    def __init__(self, free=True):
        self.batches = []
        self.begun = threading.Event()
        self.free = threading.Event()
        if free:
            self.free.set()

    def read_many(self, images, line, batch):
        self.begun.set()
        assert self.free.wait(10)
        self.batches.append(len(images))
        for image in images:
            if image == b"bad":
                raise RuntimeError
            yield (image, line)


@pytest.fixture
def queue():
    made = []

    def make(workers=1, capacity=64, **options):
        made.append(ReadingQueue(workers, capacity, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def results(futures):
    return [future.result(10) for future in futures]


def test_queued_images_are_read_in_batches(queue):
    echo, sizes = Echo(free=False), []
    waiting = queue(capacity=100, on_batch=sizes.append)
    first = waiting.submit(echo, [b"0"], False)
    assert echo.begun.wait(10)
    rest = [waiting.submit(echo, [b"%d" % n], False) for n in range(40)]
    echo.free.set()
    assert results(first) == [(b"0", False)]
    assert [results(one) for one in rest] == [[(b"%d" % n, False)] for n in range(40)]
    assert sizes == echo.batches == [1, MAX_BATCH, MAX_BATCH, 8]


def test_a_batch_waits_for_others_unless_it_is_full(queue, monkeypatch):
    monkeypatch.setattr(queueing, "BATCH_SECONDS", 0.5)
    echo = Echo()
    waiting = queue()
    begin = time.monotonic()
    first = waiting.submit(echo, [b"1"], False)
    time.sleep(0.05)
    second = waiting.submit(echo, [b"2"], False)
    results(first + second)
    assert echo.batches == [2]
    assert time.monotonic() - begin >= 0.5
    begin = time.monotonic()
    results(waiting.submit(echo, [b"3"] * MAX_BATCH, False))
    assert echo.batches == [2, MAX_BATCH]
    assert time.monotonic() - begin < 0.5


def test_batches_have_one_reader_and_one_mode(queue):
    one, other = Echo(free=False), Echo()
    waiting = queue()
    first = waiting.submit(one, [b"x"], False)
    assert one.begun.wait(10)
    jobs = [(other, [b"a"], True), (one, [b"b"], False), (other, [b"c"], False),
            (other, [b"d"], True)]  # fmt: skip
    mixed = [future for job in jobs for future in waiting.submit(*job)]
    one.free.set()
    assert results(first + mixed) == [
        (b"x", False), (b"a", True), (b"b", False), (b"c", False), (b"d", True),
    ]  # fmt: skip
    assert (one.batches, other.batches) == ([1, 1], [2, 1])


def test_submit_fails_when_the_queue_is_full(queue):
    echo = Echo(free=False)
    waiting = queue(capacity=3)
    futures = waiting.submit(echo, [b"a", b"b"], False)
    with pytest.raises(FullError):
        waiting.submit(echo, [b"c", b"d"], False)
    futures += waiting.submit(echo, [b"c"], False)
    with pytest.raises(FullError):
        waiting.submit(echo, [b"d"], False)
    echo.free.set()
    assert len(results(futures)) == 3
    waiting.close()
    assert waiting.pending == 0


def test_a_closed_queue_finishes_queued_images_and_refuses_others():
    echo = Echo(free=False)
    waiting = ReadingQueue(2, 64)
    futures = [waiting.submit(echo, [b"%d" % n] * 3, False) for n in range(9)]
    closing = threading.Thread(target=waiting.close)
    closing.start()
    echo.free.set()
    closing.join(10)
    assert not closing.is_alive()
    assert [results(one)[0][0] for one in futures] == [b"%d" % n for n in range(9)]
    with pytest.raises(FullError):
        waiting.submit(echo, [b"x"], False)


def test_cancelled_images_are_not_read(queue):
    echo = Echo(free=False)
    waiting = queue()
    first = waiting.submit(echo, [b"a"], False)
    assert echo.begun.wait(10)
    (second,) = waiting.submit(echo, [b"b"], False)
    assert second.cancel()
    echo.free.set()
    results(first)
    waiting.close()
    assert (echo.batches, waiting.pending) == ([1], 0)


def test_an_exception_fails_only_its_own_image(queue):
    echo = Echo(free=False)
    waiting = queue()
    first = waiting.submit(echo, [b"x"], False)
    assert echo.begun.wait(10)
    good, bad, too = waiting.submit(echo, [b"a", b"bad", b"c"], False)
    echo.free.set()
    assert results([*first, good, too]) == [(b"x", False), (b"a", False), (b"c", False)]
    with pytest.raises(RuntimeError):
        bad.result(10)
    assert results(waiting.submit(echo, [b"later"], False)) == [(b"later", False)]


@settings(max_examples=30, deadline=None)
@given(
    workers=st.integers(1, 3),
    requests=st.lists(st.tuples(st.integers(1, 20), st.booleans(), st.booleans()), max_size=30),
)
def test_every_image_gets_its_own_result(workers, requests):
    readers = [Echo(), Echo()]
    waiting = ReadingQueue(workers, 10**6)
    asked = []
    for number, (count, line, which) in enumerate(requests):
        images = [b"%d-%d" % (number, n) for n in range(count)]
        asked.append((waiting.submit(readers[which], images, line), [(i, line) for i in images]))
    waiting.close()
    assert all(results(futures) == wanted for futures, wanted in asked)
    assert waiting.pending == 0
    assert max([0, *readers[0].batches, *readers[1].batches]) <= MAX_BATCH
