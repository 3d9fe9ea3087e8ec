"""Published results of these networks, and why they are not comparable with the report's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published result.

    Attributes:
        network: that it is of; 'others' is none of this project.
        short: for the leaderboard.
        data: that it was measured on.
        figure: the result in full.
        not_comparable: why it cannot be compared with the report's metrics.
    """

    network: str
    short: str
    data: str
    figure: str
    not_comparable: str


PUBLISHED = (
    Published(
        "crnn_vgg",
        "none",
        "Cinnamon address lines",
        "none of its own; comparable projects 4.6–4.8 % CER, 15.7–16.8 % WER, 81–82 % SER",
        "comparable projects split lines at random, so hands in training stand in the test too",
    ),
    Published(
        "crnn_residual",
        "5.3 % Kalapa",
        "Kalapa 2023",
        "5.31 % CER, 16.5 % WER, 65.6 % SER; 49.47 MB, 10.7 s",
        "random split, not by writer; 100 epochs at most of full training",
    ),
    Published(
        "effnet_seq2seq",
        "2nd, Kalapa",
        "Kalapa 2023, private test",
        "2nd place; B1 and B2 together 47.3 MB",
        "ranked by the competition's own score, no CER published",
    ),
    Published(
        "trocr",
        "6.3 % IAM",
        "IAM (English)",
        "6.32 % CER, 13.77 % WER",
        "another language, and pretrained weights no machine without a model hub can load",
    ),
    Published(
        "deepseek_ocr",
        "25.7 % UIT-HWDB",
        "UIT-HWDB, 421 test images",
        "CER zero-shot → fine-tuned: word 767 → 57.9 %, line 143 → 25.7 %, paragraph worse (loops)",
        "another data set, and a base of 3 billion pretrained weights",
    ),
    Published(
        "others",
        "",
        "Kalapa 2023, private test",
        "1st place: SVTR-LCNet with a guidance head and a language model of addresses",
        "ranked by the competition's own score; a million synthetic lines and 400 epochs",
    ),
    Published(
        "others",
        "",
        "UIT-HWDB lines, 6 unseen writers",
        "PaddleOCR-VL (0.9 B) 5.40 % CER, 12.77 % WER",
        "another data set; pretrained weights",
    ),
    Published(
        "others",
        "",
        "VNOnDB lines, offline, no language model",
        "HTR-ConvText 3.45 % CER, HTR-VT 4.26 %, CRNN 10.5 %",
        "full training on a GPU; VNOnDB's own split and rendering",
    ),
)


def find_published(network: str) -> Published | None:
    """Return the result that the source project of a network published."""
    return next((p for p in PUBLISHED if p.network == network), None)
