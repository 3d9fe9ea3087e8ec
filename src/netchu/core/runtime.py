"""Environment variables that make results reproducible between machines.

This module does not import torch: oneDNN, MKL and ATen read their variables when they are loaded.
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
    """Set threads and instruction set for this process; call it before torch is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(compute.threads)
    # Waiting threads sleep: spinning ones slow each other down when other processes use the cores.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # oneDNN caches one primitive for each layer and line width. With the default of 1,024 most are
    # compiled again at every training step.
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "8192"
    if compute.isa == "AVX2":
        os.environ.update(_AVX2)


def is_main_process() -> bool:
    """Return whether this process writes the outputs of a distributed run.

    The variables are those of torchrun, of the processes that Lightning starts, of Slurm and of
    LSF. Each number is 0 in the first process of the first node, and where the variable is missing.
    """
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
    return all(os.environ.get(name, "0") == "0" for name in names)
