"""Decoding: from the class probabilities of a CTC network to characters, with NumPy only."""
