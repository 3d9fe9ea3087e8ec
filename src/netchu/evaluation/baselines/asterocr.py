"""AsterOCR, a CTC network for Vietnamese whose published weights come with its package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netchu.decoding.greedy import greedy_decode
from netchu.evaluation.baselines.base import Baseline, Environment, LoadedBaseline, run_worker

ENVIRONMENT = Environment("asterocr", "3.11", ("asterocr==1.0.2", "onnx==1.23.2"))
BASELINE = Baseline("netchu.evaluation.baselines.asterocr", environment=ENVIRONMENT)


def load(argument: str) -> LoadedBaseline:
    """Load the weights; `argument` is not used."""
    import onnx
    import onnxruntime
    from asterocr import AsterOCR, __version__

    engine = AsterOCR()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        engine.model_path, options, providers=["CPUExecutionProvider"]
    )
    blank: int = engine.vocab.blank_idx

    def read(image: bytes) -> tuple[str, Sequence[float]]:
        pixels_BCHW = engine.preprocess_image(image)
        output = session.run([engine.output_name], {engine.input_name: pixels_BCHW})[0]
        return engine.decode_ctc(output), character_probabilities(output, blank)

    weights = onnx.load(engine.model_path).graph.initializer
    parameters = sum(math.prod(weight.dims) for weight in weights)
    megabytes = round(Path(engine.model_path).stat().st_size / 1e6, 3)
    return LoadedBaseline(read, f"AsterOCR {__version__}", megabytes, parameters)


def character_probabilities(log_probabilities: Any, blank: int) -> list[float]:
    """Return the probability of each character of the best path: its highest one in its steps.

    Args:
        log_probabilities: of one line, (T, 1, V) or (1, T, V).
        blank: number of the blank.
    """
    rows_TV = log_probabilities.reshape(-1, log_probabilities.shape[-1])
    return [emission.probability for emission in greedy_decode(np.exp(rows_TV), blank)]


if __name__ == "__main__":
    run_worker(load)
