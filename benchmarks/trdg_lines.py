"""Measure how long trdg takes to generate lines. Runs in trdg's own environment.

Reads JSON {"texts": [...], "fonts": [...]} (one font file per text) from stdin and writes the
seconds for all of them to stdout. All options of trdg are at their defaults but the height and the
random distortion; every line is encoded as JPEG, as in netchu.
"""

from __future__ import annotations

import io
import json
import sys
import time

import cv2
from trdg.generators import GeneratorFromStrings

HEIGHT = 64
RANDOM_DISTORTION = 3


def main() -> None:
    """Generate one line of each text in its font."""
    cv2.setNumThreads(1)
    job = json.load(sys.stdin)
    lines = GeneratorFromStrings(
        job["texts"],
        count=len(job["texts"]),
        fonts=job["fonts"],
        language="vi",
        size=HEIGHT,
        distorsion_type=RANDOM_DISTORTION,
    )
    start = time.perf_counter()
    for image, _ in lines:
        image.convert("L").save(io.BytesIO(), "JPEG", quality=80)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
