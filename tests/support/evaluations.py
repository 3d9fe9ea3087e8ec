"""Evaluation folders for tests: metrics and readings of systems that are not trained."""

from pathlib import Path
from typing import Any

import pandas as pd

from netchu.evaluation.metrics.summary import summarise_predictions
from netchu.evaluation.metrics_io import write_metrics

TEXT = "Tổ 3, ấp Đông Hoà"


def readings(wrong: int, number: int = 60, level: str = "line") -> pd.DataFrame:
    """Return readings of 20 writers; of ten lines of a writer, the last `wrong` are misread."""
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
    """Write `metrics.json` and `predictions.parquet` like the stage; return the metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "system": system,
        "main": "main",
        **summarise_predictions(predictions, ["drawn"], 20, 1),
        "variants": {},
    }
    write_metrics(metrics, folder / "metrics.json")
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    return metrics
