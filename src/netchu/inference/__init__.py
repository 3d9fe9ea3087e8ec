"""Inference with an exported model: NumPy, OpenCV and ONNX Runtime, no torch."""
