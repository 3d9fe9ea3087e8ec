"""Stage peers@NAME: what a user would pick instead reads the same test lines."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.core.runtime import cap


def main() -> None:
    """Read the flags and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", help="a key of peers in params.yaml")
    peer = parser.parse_args().peer
    with one_line_errors():
        params = load_params()
        cap(params.compute)
        from netchu.evaluation.baselines.measuring import measure_peer
        from netchu.tracking.baseline_run import track_peer

        begin = time.perf_counter()
        why = measure_peer(params, peer, Path("models") / params.profile / "peers" / peer)["why"]
        track_peer(params, peer, time.perf_counter() - begin)
        if why:
            print(f"{peer}: no rates: {why}")


if __name__ == "__main__":
    main()
