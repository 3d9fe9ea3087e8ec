"""MLflow, the window on what the stages did. Only `store` imports it."""
