"""Engines: run networks for inference by eager torch, compiled torch, OpenVINO or ONNX Runtime."""
