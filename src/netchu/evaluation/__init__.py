"""Evaluation of systems and baselines on test lines: metrics, speed, comparison, audit."""
