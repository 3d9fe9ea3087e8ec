from pathlib import Path

import pytest

from netchu.core.errors import NetchuError
from netchu.serve import model_registry


def test_models_are_named_by_folder_argument_or_mlflow_uri(bars_folder, monkeypatch):
    models = model_registry.load_models([str(bars_folder) + "/"])
    assert list(models) == ["netchu", bars_folder.name]
    monkeypatch.setattr(model_registry, "_download", lambda uri: bars_folder)
    models = model_registry.load_models(
        ["best=models:/netchu-real@champion", "models:/netchu-real/3"]
    )
    assert list(models) == ["netchu", "best", "3"]
    with pytest.raises(NetchuError, match="already"):
        model_registry.load_models(["a=models:/x/1", f"a={Path(bars_folder)}"])
