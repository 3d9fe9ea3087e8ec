"""Where runs go: the tracking server, or a database in the main checkout.

DVC runs queued experiments in temporary workspaces that it deletes, and a git worktree is deleted
when its work is done, so the database and the artifacts beside it are in the main checkout,
wherever a stage runs. Does not import MLflow.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"

_ADDRESSES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""Columns of MLflow's database that hold addresses of artifacts."""

_OPENING_SECONDS = 120.0
"""How long a process waits for others that open the database; creating it takes some seconds."""


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, or the database in the main checkout."""
    own = os.environ.get("MLFLOW_TRACKING_URI")
    return own or f"sqlite:///{main_checkout() / DATABASE}"


def is_server() -> bool:
    """Return whether runs go to a server, and not to a database of this machine."""
    return tracking_uri().startswith(("http://", "https://"))


def without_credentials(text: str) -> str:
    """Return a text without the user names and passwords of its URLs."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def main_checkout() -> Path:
    """Return the checkout whose folders outlive a stage.

    It is that which DVC names, since it starts queued experiments elsewhere, or else the nearest
    folder with a `.dvc`, or the working directory. For a worktree of git it is the main one.
    """
    here = Path.cwd()
    project = next((path for path in (here, *here.parents) if (path / ".dvc").is_dir()), here)
    root = Path(os.environ.get("DVC_ROOT") or project).resolve()
    if (root / ".git").is_file():
        command = ["git", "-C", str(root), "rev-parse", "--path-format=absolute",
                   "--git-common-dir"]  # fmt: skip
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        shared = Path(answer.stdout.strip())
        if answer.returncode == 0 and shared.name == ".git":
            return shared.parent
    return root


def artifact_location(uri: str) -> str | None:
    """Return the address of the artifacts of a new experiment; None leaves it to the server."""
    database = _database(uri)
    return (database.parent / ARTIFACTS).as_uri() if database else None


def adopt_artifacts(uri: str) -> None:
    """Make a database that was moved or copied refer to the artifacts beside it.

    MLflow stores absolute addresses, so a copied checkout would write into the folder that it was
    copied from. Does nothing for a server, and where the former artifacts were left behind.
    """
    database, own = _database(uri), artifact_location(uri)
    if database is None or own is None or not database.is_file():
        return
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if "experiments" not in tables:
            return
        query = "SELECT DISTINCT artifact_location FROM experiments WHERE name LIKE 'netchu-%'"
        for (former,) in connection.execute(query).fetchall():
            if former == own or not former.startswith("file://"):
                continue
            left = Path(unquote(former.removeprefix("file://")))
            if left.is_dir() and not (database.parent / ARTIFACTS).is_dir():
                continue
            with connection:
                for table in tables & set(_ADDRESSES):
                    for column in _ADDRESSES[table]:
                        connection.execute(
                            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                            f"WHERE substr({column} || '/', 1, ?) = ?",
                            (own, len(former) + 1, len(former) + 1, f"{former}/"),
                        )
            print(
                f"netchu: {database} was moved or copied from {left.parent}; its artifacts are "
                f"those in {database.parent / ARTIFACTS} now", file=sys.stderr,
            )  # fmt: skip


def database_lock(uri: str) -> AbstractContextManager[object]:
    """Return a lock that one process holds at a time, waited for.

    None for a server and where no database can be created, because the folder is read-only. The
    file `<database>.lock` stays.
    """
    database = _database(uri)
    if database is None or not os.access(database.parent, os.W_OK):
        return nullcontext()
    return FileLock(database.with_name(f"{database.name}.lock"), timeout=_OPENING_SECONDS)


def _database(uri: str) -> Path | None:
    """Return the file of a SQLite database."""
    if not uri.startswith("sqlite:///") or uri.endswith(":memory:"):
        return None
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    return Path(path.removeprefix("file:")).resolve()  # SQLite takes addresses of files, too
