"""Stage download@SOURCE: fetch a data source into data/<profile>/raw/<source>."""

from __future__ import annotations

from netchu.core.params import Params
from netchu.core.stage_script import run_stage_for
from netchu.data.fetch import SOURCES, fetch


def download(params: Params, source: str) -> None:
    """Fetch one source, with its settings in params.yaml if it has any."""
    fetch(source, params.raw / source, params.sources.get(source, {}))


if __name__ == "__main__":
    run_stage_for(__doc__, "source", f"one of {', '.join(SOURCES)}", download)
