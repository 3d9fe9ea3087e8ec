"""Each file is read once, whatever happens to the workers."""

import re
from collections import Counter

import pytest

from netchu.core.errors import NetchuError
from netchu.inference.bulk.scheduling import MAX_TRIES, SPARE_DEATHS, read_files
from netchu.inference.bulk.workers import Death
from netchu.inference.bulk.worklist import MissingPackageError

MODEL = "hash"


class FakePool:
    """Workers in this process. A file named `kill` ends its worker, `raise` raises, and the package
    for a file named `absent` is missing."""

    cores = 2

    def __init__(self, loaded=MODEL, deaths=()):
        self.loaded = loaded
        self.deaths = list(deaths)
        """How many answers are given until a worker dies, once each."""
        self.started = 0
        self.answers = []
        self.sent = []

    def start(self):
        self.started += 1
        self.answers.append((self.started, self.loaded))
        return self.started

    def send(self, worker, files):
        self.sent.append(files)
        if any("kill" in path for path in files):
            answer = Death("exit code -9")
        elif any("absent" in path for path in files):
            answer = MissingPackageError("Install absent")
        elif any("raise" in path for path in files):
            answer = ValueError("odd pixels")
        else:
            answer = [{"path": path} for path in files]
        if self.deaths and len(self.sent) == self.deaths[0]:
            self.deaths.pop(0)
            answer = Death("exit code -9")
        self.answers.append((worker, answer))

    def wait(self):
        return self.answers.pop(0)


def read(pool, files, workers=2, size=4):
    return list(read_files(iter(files), pool, workers, size, MODEL))


def paths(results):
    return Counter(row["path"] for result in results for row in result.rows)


@pytest.mark.parametrize("number", [0, 1, 4, 9, 30])
def test_each_file_is_read_once(number):
    pool, files = FakePool(), [f"{i}.png" for i in range(number)]
    results = read(pool, files)
    assert paths(results) == Counter(files)
    assert sum(result.files for result in results) == number
    assert max(map(len, pool.sent), default=0) == min(4, number)


def test_files_of_lost_workers_are_read_by_others():
    pool, files = FakePool(deaths=[2, 3, 7]), [f"{i}.png" for i in range(30)]
    assert paths(read(pool, files)) == Counter(files)
    assert pool.started == 2 + 3


def test_any_number_of_workers_may_die_if_files_are_read_in_between():
    pool, files = FakePool(deaths=range(2, 100, 4)), [f"{i}.png" for i in range(200)]
    assert paths(read(pool, files)) == Counter(files)
    assert pool.started > 2 + SPARE_DEATHS + 3 * 2


@pytest.mark.parametrize(
    ("name", "reason"), [("kill.png", "died each time"), ("raise.png", "ValueError .odd pixels")]
)
def test_a_file_that_no_worker_survives_is_an_error_and_the_others_are_read(name, reason):
    pool, files = FakePool(), [*(f"{i}.png" for i in range(10)), name, "last.png"]
    results = read(pool, files)
    assert paths(results) == Counter(files)
    (error,) = (row for result in results for row in result.rows if "error" in row)
    assert error["path"] == name
    assert re.search(reason, error["error"])
    assert sum(name in sent for sent in pool.sent) == MAX_TRIES


def test_a_missing_package_ends_the_run():
    with pytest.raises(MissingPackageError, match="Install absent"):
        read(FakePool(), ["1.png", "absent.png"])


def test_workers_that_all_die_are_an_error():
    pool = FakePool(loaded=Death("no module named netchu"))
    with pytest.raises(NetchuError, match=r"17 workers died in a row \(no module named netchu\)"):
        read(pool, ["1.png"])
    assert pool.started == 2 + SPARE_DEATHS + 3 * 2


def test_a_worker_with_another_model_is_an_error():
    with pytest.raises(NetchuError, match="another model than this process"):
        read(FakePool(loaded="other"), ["1.png"])
    with pytest.raises(NetchuError, match="no model"):
        read(FakePool(loaded=NetchuError("no model here")), ["1.png"])
