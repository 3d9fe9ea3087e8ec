"""netchu (nét chữ): rebuild, compare and ship recognisers of Vietnamese handwriting."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netchu.inference.reader import Reader

__all__ = ["Reader"]


def __getattr__(name: str) -> Any:
    """Import the reader on first use; training needs neither it nor onnxruntime."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("netchu.inference.reader"), name)
