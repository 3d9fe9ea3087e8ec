"""From a trained system to the model that people install."""
