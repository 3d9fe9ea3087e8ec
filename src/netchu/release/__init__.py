"""Release: calibrated ONNX exports, the language model and the weights of the package."""
