"""Functions in processes of their own that begin at the same time."""

import multiprocessing
import os
from pathlib import Path


def run_at_once(target, numbers, *arguments, preload):
    """Run `target(number, *arguments, together)` in a process for each of the numbers.

    Args:
        target: waits at `together`, a barrier for all of them.
        numbers: the first argument of each process.
        arguments: the next arguments of all.
        preload: modules that take seconds to import, and are inherited by the processes.

    Returns:
        The exit codes, in the order of `numbers`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload)
    together = context.Barrier(len(numbers), timeout=300)
    # The server that forks may be that of an earlier test, with its environment and folder.
    here = dict(os.environ), Path.cwd()
    processes = [
        context.Process(target=_run, args=(*here, target, number, *arguments, together))
        for number in numbers
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _run(environment, folder, target, *arguments):
    os.environ.update(environment)
    os.chdir(folder)
    target(*arguments)
