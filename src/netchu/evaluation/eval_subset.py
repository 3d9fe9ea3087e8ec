"""The lines that every system reads, and what is kept of a reading."""

from __future__ import annotations

import hashlib

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.data.line_table import read_table

MAIN = "main"
"""The variant of a system that reads in one way only."""

COLUMNS = ["id", "dataset", "source", "level", "writer", "text", "reading", "confidence", "variant"]


def chosen_lines(params: Params) -> pd.DataFrame:
    """The lines every system reads: the line table's columns and `dataset`.

    At most `evaluate.limit` of each dataset and level, chosen by seed and id, so that one line
    more in the table moves no other line in or out of the choice.

    Raises:
        NetchuError: a dataset has no line of the wanted split.
    """
    split = params.evaluate.split
    frames = []
    for dataset in params.evaluate.datasets:
        params.dataset(dataset)
        table = read_table(params.lines / dataset)
        table = table[table["split"] == split].assign(dataset=dataset)
        if table.empty:
            raise NetchuError(
                f"dataset {dataset} has no {split} line; set datasets.{dataset}.{split}_share or "
                "take it out of evaluate.datasets"
            )
        order = table["id"].map(lambda i: hashlib.sha256(f"{params.seed}:{i}".encode()).hexdigest())
        table = table.assign(order=order).sort_values(["order", "id"])
        if params.evaluate.limit:
            table = table.groupby("level", sort=False).head(params.evaluate.limit)
        frames.append(table.drop(columns="order"))
    return pd.concat(frames, ignore_index=True)
