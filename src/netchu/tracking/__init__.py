"""MLflow: training, evaluation and report runs, and the model registry. Only `store` imports it."""
