"""Evaluation: test lines read by a trained system, at what cost, and who reads better."""
