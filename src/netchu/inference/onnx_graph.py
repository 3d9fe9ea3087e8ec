"""What an ONNX file may hold: the operators of networks that netchu exports, and nothing else.

The file is checked before onnxruntime loads it, since it folds constants while it loads and would
follow a loop without an end. Field numbers are those of `onnx.proto`; the package `onnx` is not
needed to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# fmt: off
OPERATORS = frozenset({
    "Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Constant", "Conv",
    "DequantizeLinear", "Div", "Expand", "Gelu", "LSTM", "LayerNormalization", "MatMul", "MaxPool",
    "Mul", "QuantizeLinear", "ReduceMax", "Relu", "Reshape", "Shape", "Slice", "Squeeze",
    "Transpose", "Unsqueeze",
})
# fmt: on
"""Operators of exported networks. None of them runs a graph of its own, as Loop, Scan and If do."""

MAX_BYTES = 2**28
"""Largest file; weights are in a file of their own."""

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
"""Wire types of protobuf."""

_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS = 5, 10
_ATTRIBUTE_GRAPHS = (6, 11)
_ATTRIBUTE_SPARSE = (22, 23)
_TENSOR_EXTERNAL, _ENTRY_KEY, _ENTRY_VALUE = 13, 1, 2


def check_graph(network: Path) -> None:
    """Check the operators of an ONNX file, and that its weights are in files beside it.

    Raises:
        ValueError: it is not an ONNX file, has another operator, or names another folder.
    """
    if network.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    seen = False
    for number, graph in _fields(memoryview(network.read_bytes())):
        if number == _MODEL_FUNCTIONS:
            raise ValueError("functions of its own")
        if number == _MODEL_GRAPH:
            seen = True
            _check_graph(_message(graph))
    if not seen:
        raise ValueError("no graph")


def _check_graph(graph: memoryview) -> None:
    for number, value in _fields(graph):
        if number == _GRAPH_NODE:
            _check_node(_message(value))
        elif number == _GRAPH_INITIALIZER:
            _check_tensor(_message(value))
        elif number == _GRAPH_SPARSE:
            raise ValueError("a sparse tensor")


def _check_node(node: memoryview) -> None:
    for number, value in _fields(node):
        if number == _NODE_OPERATOR and (name := _text(value)) not in OPERATORS:
            raise ValueError(f"the operator {name[:40]!r}")
        if number == _NODE_DOMAIN and (name := _text(value)) not in ("", "ai.onnx"):
            raise ValueError(f"operators of {name[:40]!r}")
        if number == _NODE_ATTRIBUTE:
            for field, content in _fields(_message(value)):
                if field in _ATTRIBUTE_GRAPHS:
                    raise ValueError("an operator with a graph of its own")
                if field in _ATTRIBUTE_SPARSE:
                    raise ValueError("a sparse tensor")
                if field in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                    _check_tensor(_message(content))


def _check_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL:
            entry = dict(_fields(_message(value)))
            if _text(entry.get(_ENTRY_KEY, b"")) == "location":
                name = _text(entry.get(_ENTRY_VALUE, b""))
                if name in ("", "..") or name != Path(name).name or "\\" in name:
                    raise ValueError(f"weights in another folder, {name[:80]!r}")


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a protobuf message.

    Raises:
        ValueError: it is none.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise ValueError("not an ONNX file")
        if wire == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == _BYTES:
            length, place = _varint(message, place)
        elif wire in (_FIXED_32, _FIXED_64):
            length = 4 if wire == _FIXED_32 else 8
        else:
            raise ValueError("not an ONNX file")
        if length > len(message) - place:
            raise ValueError("the file is cut off")
        yield number, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return the integer at `place`, seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("the file is cut off")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("not an ONNX file")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("not an ONNX file")
    return value


def _text(value: int | memoryview | bytes) -> str:
    if isinstance(value, int):
        raise ValueError("not an ONNX file")
    return bytes(value).decode("utf-8", "replace")
