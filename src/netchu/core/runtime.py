"""Caps on threads and instruction set, so that figures hold from machine to machine.

Imported before torch, and without it: oneDNN, MKL and ATen read their variables when they load.
"""

from __future__ import annotations

import os

from netchu.core.params import ComputeParams

_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "MKL_CBWR": "AVX2",
}


def set_compute_environment(compute: ComputeParams) -> None:
    """Set the environment of this process before torch is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(compute.threads)
    # Threads that wait asleep: spinning ones stall one another when the machine is busy otherwise.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # One primitive for each layer and width of line: of the usual 1,024 most are made again and
    # again, at every training step.
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "8192"
    if compute.isa == "AVX2":
        os.environ.update(_AVX2)


def is_main_process() -> bool:
    """Whether this is the one process of a distributed run that writes outputs."""
    ranks = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
    return all(rank == "0" for rank in ranks)
