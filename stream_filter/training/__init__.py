"""What needs the [train] extra: torch, transformers, scikit-learn, onnx. No worker imports it."""
