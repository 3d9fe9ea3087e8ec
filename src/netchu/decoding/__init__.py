"""From the probabilities of a CTC network to characters."""
