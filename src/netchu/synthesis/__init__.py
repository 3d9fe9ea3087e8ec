"""Synthetic handwriting: random texts, rendered with fonts or pen strokes, as photos."""
