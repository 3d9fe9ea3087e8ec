"""Cinnamon AI's address lines, scanned; the writers are not known. Research data.

The archive holds two folders of images, each with a JSON {file: text}: `0916_Data Samples 2` and
`1015_Private Test` with `labels.json`, or, in the upstream copy, `Train` and `Test` with
`labels_train.json` and `labels_test.json`. The second of the two is the official test.
"""

from __future__ import annotations

from pathlib import Path

from netchu.data.fetch.download import Source, fetch_file, github_archive

SOURCE = Source(
    name="cinnamon",
    file="cinnamon.tar",
    url=github_archive(
        "hathucminh123/project-vietnamese-handwriting-ocr-",
        "5eeede98530882c765c552d3cc9ccac53e7bfe88",
    ),
    licence="research data without a licence to redistribute",
)


def fetch(folder: Path) -> None:
    """Bring the archive into `folder`."""
    fetch_file(SOURCE, folder)
