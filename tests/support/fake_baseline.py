"""A baseline for tests: it reads a line as its size, and fails on lines of four letters."""

import struct
import time

from netchu.evaluation.baselines.base import LoadedBaseline, run_worker


def load(argument):
    if argument:
        raise SystemExit("the fake found no model at /home/someone/model")

    def read(image):
        width, height = struct.unpack(">II", image[16:24])
        time.sleep(0.002)
        if width == 80:
            raise ValueError("too narrow")
        return f"{width} {height}", [0.5, 0.5]

    return LoadedBaseline(read, "fake 1.0", 1.5, 42)


if __name__ == "__main__":
    run_worker(load)
