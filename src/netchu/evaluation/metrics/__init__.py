"""Metrics of readings: corpus rates with confidence intervals, error tables, calibration.

A rate divides the total edits of all lines (Levenshtein distance, by jiwer) by the total reference
units; it is not a mean over lines. CER is over characters, WER over words, SER over lines. Truths
and readings are normalised to NFC first. `registry` declares all metrics.
"""
