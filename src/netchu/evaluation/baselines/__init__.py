"""Baselines: what a user would pick instead of netchu, reading the same test lines.

A baseline is one file here. It runs in an environment of its own, as a process that imports nothing of
netchu but this folder; `measuring` makes a row of the table of what it answers.
"""
