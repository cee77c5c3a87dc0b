"""Record a finished run in MLflow, TensorBoard or Weights & Biases, by their own libraries."""
