from pathlib import Path

import pytest

from netchu.core.errors import NetchuError
from netchu.serve import model_registry


def test_models_by_folder_name_and_from_mlflow(bars_folder, monkeypatch):
    opened = model_registry.open_shelf([str(bars_folder) + "/"])
    assert list(opened) == ["netchu", bars_folder.name]
    monkeypatch.setattr(model_registry, "_fetched", lambda uri: bars_folder)
    opened = model_registry.open_shelf(
        ["best=models:/netchu-real@champion", "models:/netchu-real/3"]
    )
    assert list(opened) == ["netchu", "best", "3"]
    with pytest.raises(NetchuError, match="already"):
        model_registry.open_shelf(["a=models:/x/1", f"a={Path(bars_folder)}"])
