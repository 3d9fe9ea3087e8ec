"""Baselines: other people's recognisers, measured on the same test lines.

Each baseline is one file. It runs as a process in an environment of its own and imports nothing of
netchu but this folder and `netchu.core.text`; `measuring` turns its answers into metrics.
"""
