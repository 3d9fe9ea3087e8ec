"""The lines that every system reads in an evaluation, and the columns of its predictions."""

from __future__ import annotations

import hashlib

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.data.line_table import read_table

PREDICTION_COLUMNS = [
    "id", "dataset", "source", "level", "writer", "text", "reading", "confidence", "variant",
]  # fmt: skip


def load_eval_subset(params: Params) -> pd.DataFrame:
    """Return the lines that every system reads: columns of the line table, and `dataset`.

    At most `evaluate.limit` lines of each dataset and level are drawn, by a hash of the seed and
    the line's id, so that a line added to the table does not exchange others.

    Raises:
        NetchuError: a dataset has no line of the split.
    """
    split = params.evaluate.split
    frames = []
    for dataset in params.evaluate.datasets:
        params.dataset(dataset)
        table = read_table(params.lines / dataset, where={"split": (split,)})
        if table.empty:
            raise NetchuError(
                f"dataset {dataset} has no {split} line; set datasets.{dataset}.{split}_share or "
                "take it out of evaluate.datasets"
            )
        order = table["id"].map(lambda i: hashlib.sha256(f"{params.seed}:{i}".encode()).hexdigest())
        table = table.assign(dataset=dataset, order=order).sort_values(["order", "id"])
        if params.evaluate.limit:
            table = table.groupby("level").head(params.evaluate.limit)
        frames.append(table.drop(columns="order"))
    return pd.concat(frames, ignore_index=True)
