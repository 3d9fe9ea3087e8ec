"""Which stages `dvc repro` would run, also in a clone that holds no data yet.

Before it runs a stage, even dry, DVC hashes the stage's dependencies to look into its run cache,
and fails where one is missing (DVC 3.67, https://github.com/treeverse/dvc/issues/9818). Here such
a stage counts as not cached.
"""

from __future__ import annotations

from typing import Any


def dry_run(*arguments: str) -> int:
    """Run a command of DVC in this process with `--dry`; return its exit code.

    Args:
        arguments: the command and its options, such as `"repro"`.
    """
    from dvc.cli import main
    from dvc.stage.cache import RunCacheNotFoundError, StageCache

    restore = StageCache.restore

    def restore_if_there(self: StageCache, stage: Any, *args: Any, **options: Any) -> None:
        try:
            restore(self, stage, *args, **options)
        except FileNotFoundError:
            raise RunCacheNotFoundError(stage) from None

    StageCache.restore = restore_if_there
    try:
        return int(main([*arguments, "--dry"]))
    finally:
        StageCache.restore = restore
