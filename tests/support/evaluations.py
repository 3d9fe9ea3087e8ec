"""Evaluation folders for tests: figures and readings of systems that were never trained."""

from pathlib import Path
from typing import Any

import pandas as pd

from netchu.evaluation.metrics.summary import summarise_predictions
from netchu.evaluation.metrics_io import write_metrics

TEXT = "Tổ 3, ấp Đông Hoà"


def readings(wrong: int, number: int = 60, level: str = "line") -> pd.DataFrame:
    """Lines of 20 writers, the last `wrong` of each ten misread."""
    rows = [
        {
            "id": f"{level}-{i:03d}",
            "dataset": "drawn",
            "source": "drawn",
            "level": level,
            "writer": f"hand {i % 20}",
            "text": TEXT,
            "reading": TEXT.replace("ấp", "áp") if i // 20 % 10 >= 10 - wrong else TEXT,
            "confidence": 0.5,
            "variant": "main",
        }
        for i in range(number)
    ]
    return pd.DataFrame(rows)


def write_evaluation(folder: Path, system: str, predictions: pd.DataFrame) -> dict[str, Any]:
    """`metrics.json` and `predictions.parquet` as the stage leaves them; returns the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "system": system,
        "main": "main",
        **summarise_predictions(predictions, ["drawn"], 20, 1),
        "variants": {},
    }
    write_metrics(figures, folder / "metrics.json")
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    return figures
