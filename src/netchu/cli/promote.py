"""The command `netchu promote`."""

from __future__ import annotations

from netchu.core.errors import needs_extra


@needs_extra("train", "the model registry")
def promote_command() -> None:
    """Make the challenger in MLflow the champion if it reads better.

    The first challenger needs no test. Every other one needs a significantly
    lower CER than the champion over all lines and must not be significantly
    worse on any dataset (the test of netchu compare). Needs the extra:
    pip install 'netchu[train]'

    \b
    Examples:
      netchu promote
      netchu register netchu_small && netchu promote

    \b
    Exit codes:
      0  the challenger is the champion now
      2  it does not read better, there is none, or MLflow cannot be reached
    """
    from netchu.core.params import load_params
    from netchu.tracking.registry import promote

    print(promote(load_params()))
