"""From an encoded photo and its label to a `Line`, for the sources of photos."""

from __future__ import annotations

from netchu.core.errors import NetchuError
from netchu.core.text import normalise
from netchu.data.line_table import Line, Skipped
from netchu.imaging.images import encode
from netchu.imaging.photos import is_grey_file, read_photo


def photo_line(
    name: str, encoded: bytes, text: str, writer: str, split: str, level: str = "line"
) -> Line | Skipped:
    """Return a `Line`, or `Skipped` if the not an image, or damaged or the text is empty.

    A grey JPEG, PNG or WebP keeps its bytes; any other image is encoded as a grey PNG.

    Args:
        name: the id, `<source>-<rest>`.
        encoded: the bytes of the image.
        text: the label, not yet normalised.
        writer: '' if unknown.
        split: '' if the source has no official split.
        level: word, line or paragraph.
    """
    try:
        image_HW = read_photo(encoded)
    except NetchuError as error:
        return Skipped(name, str(error).removeprefix("the image").lstrip(": ").partition(";")[0])
    if not (text := normalise(text)):
        return Skipped(name, "empty label")
    return Line(
        id=name,
        image=encoded if is_grey_file(encoded) else encode(image_HW),
        text=text,
        writer=writer,
        source=name.split("-", 1)[0],
        level=level,
        split=split,
        width=image_HW.shape[1],
        height=image_HW.shape[0],
    )
