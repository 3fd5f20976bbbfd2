"""What runs a network that only looks or draws: torch as it is, torch compiled, OpenVINO or ONNX Runtime."""
