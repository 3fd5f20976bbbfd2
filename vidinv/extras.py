"""Import optional packages, and name the extra of vidinv to install if one is missing."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from vidinv.errors import UsageError

# Module -> (extra in setup.py, package name in setup.py).
EXTRAS = {
    "c2pa": ("c2pa", "c2pa-python"),
    "cryptography": ("c2pa", "cryptography"),
    "decord": ("decord", "decord"),
    "face_alignment": ("face-alignment", "face-alignment"),
    "lightning_fabric": ("train", "lightning-fabric"),
    "lmdb": ("lmdb", "lmdb"),
    "lpips": ("lpips", "lpips"),
    "onnxruntime": ("onnx", "onnxruntime"),
    "openvino": ("openvino", "openvino"),
    "ray": ("ray", "ray"),
    "pillow_heif": ("heif", "pillow-heif"),
    "s3fs": ("s3", "s3fs"),
    "tensorboard": ("train", "tensorboard"),
    "torchcodec": ("torchcodec", "torchcodec"),
}


def require_training(purpose: str = "training", *, instead: str = "") -> None:
    """Raise UsageError unless all packages of the extra [train] are installed."""
    for module, (extra, _) in EXTRAS.items():
        if extra == "train":
            require(module, purpose, instead=instead)


def require(module: str, purpose: str, *, instead: str = "") -> None:
    """Raise UsageError unless the optional `module` is installed.

    `purpose` names what needs it (`training`), `instead` an alternative for the remedy (`use --engine eager`).
    """
    if not is_installed(module):
        raise missing(module, purpose, instead=instead)


def load_optional(module: str, purpose: str, *, instead: str = "") -> Any:
    """Import the optional `module`. Raises UsageError if it is missing or cannot be imported on this machine."""
    require(module, purpose, instead=instead)
    try:
        return import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # such as a missing shared library
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"{purpose} needs {EXTRAS[module][1]}, which cannot be imported ({why})", remedy=instead or _install(module)
        ) from error


def is_installed(module: str) -> bool:
    """Whether the top-level `module` is installed; it is not imported."""
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


def missing(module: str, purpose: str, *, instead: str = "") -> UsageError:
    """The error for an optional `module` that is not installed, which names the extra."""
    remedy = f"{_install(module)}, or {instead}" if instead else _install(module)
    return UsageError(f"{purpose} needs {EXTRAS[module][1]}", remedy=remedy)


def _install(module: str) -> str:
    return f'run: pip install "vidinv[{EXTRAS[module][0]}]"'
