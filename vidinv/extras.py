"""Optional packages: which extra of vidinv brings each, and the one line that names the extra where one is missing."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from vidinv.errors import UsageError

# Module -> the extra in setup.py that brings it, and the package's name there.
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
    "s3fs": ("s3", "s3fs"),
    "tensorboard": ("train", "tensorboard"),
    "torchcodec": ("torchcodec", "torchcodec"),
}


def require_training(purpose: str = "training", *, instead: str = "") -> None:
    """UsageError unless all that a training needs beside the core is installed."""
    for module, (extra, _) in EXTRAS.items():
        if extra == "train":
            require(module, purpose, instead=instead)


def require(module: str, purpose: str, *, instead: str = "") -> None:
    """UsageError unless the optional `module` is installed.

    `purpose` is what needs it (`training`), `instead` what to do without it (`use --engine eager`).
    """
    if not is_installed(module):
        raise missing(module, purpose, instead=instead)


def load_optional(module: str, purpose: str, *, instead: str = "") -> Any:
    """The optional `module`, imported. Raises UsageError where it is missing or does not load on this machine."""
    require(module, purpose, instead=instead)
    try:
        return import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # such as a shared library that is not there
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"{purpose} needs {EXTRAS[module][1]}, which does not load here ({why})", remedy=instead or _install(module)
        ) from error


def is_installed(module: str) -> bool:
    """Whether the top-level `module` can be found; it is not imported."""
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


def missing(module: str, purpose: str, *, instead: str = "") -> UsageError:
    """The error for an optional `module` that is not installed: it names the extra."""
    remedy = f"{_install(module)}, or {instead}" if instead else _install(module)
    return UsageError(f"{purpose} needs {EXTRAS[module][1]}", remedy=remedy)


def _install(module: str) -> str:
    return f'run: pip install "vidinv[{EXTRAS[module][0]}]"'
