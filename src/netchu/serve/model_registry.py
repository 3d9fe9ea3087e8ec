"""The models that a server reads with, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from netchu.core.errors import NetchuError, needs_extra
from netchu.inference.reader import Reader

DEFAULT_MODEL = "netchu"
"""Name of the model that comes with the package."""

_MLFLOW_URI = re.compile(r"(models|runs|mlflow-artifacts):/")


def load_models(arguments: Sequence[str]) -> Mapping[str, Reader]:
    """Load the shipped model and those that the command line names.

    Args:
        arguments: `NAME=LOCATION` or `LOCATION`, which is a folder or the URI of a model in MLflow.
            Without a name the model is called like the last part of its location.

    Raises:
        NetchuError: two models have the same name, or one is not an exported model.
    """
    models = {DEFAULT_MODEL: Reader()}
    for argument in arguments:
        name, location = _parse(argument)
        if name in models:
            raise NetchuError(
                f"--model {argument}: there is already a model {name!r}; write NAME=DIR"
            )
        is_uri = _MLFLOW_URI.match(location)
        models[name] = Reader(_download(location) if is_uri else Path(location))
    return models


def _parse(argument: str) -> tuple[str, str]:
    """Split an argument into name and location."""
    name, equals, location = argument.partition("=")
    if not equals:
        name, location = argument.rstrip("/").rpartition("/")[2], argument
    if not name.strip() or not location or not name.isprintable():
        raise NetchuError(f"--model {argument!r} is not a model; name a folder, or write NAME=DIR")
    return name.strip(), location


def _download(uri: str) -> Path:
    """Download a model from MLflow; return its folder."""
    with needs_extra("train", f"--model {uri}"):
        from netchu.tracking import store
    return store.download_model(uri)
