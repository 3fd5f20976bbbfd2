"""Packaging of vidinv: what a user's `pip install` brings."""

from setuptools import find_packages, setup

# What `vidinv run`, `edit`, `invert`, `mix`, `report`, `inspect`, `evaluate` and `batch` import.
CORE = [
    "av>=17,<19",
    "defusedxml>=0.7",
    "filelock>=3.30",
    "httpx2>=2,<3",
    "jinja2>=3.1",
    "kornia>=0.8",
    "llvmlite>=0.44",
    "markupsafe>=2.1",
    "numba>=0.61",
    "numpy>=2.0",
    "omegaconf>=2.4",
    "onnx>=1.17",
    "opencv-python-headless>=4.10",
    "packaging>=24",
    "pillow>=10.1",
    "plotly>=6",
    "pyyaml>=6",
    "rich>=13",
    "safetensors>=0.4",
    "torch>=2.5.1,<2.14",
    "torchmetrics>=1.6",
    "typer>=0.15",
    "universal-pathlib>=0.3",
    "unearth>=0.19",
]
# What one command or one option needs beside it; `vidinv/extras.py` names the extra where a package is missing.
EXTRAS = {
    "c2pa": ["c2pa-python>=0.38", "cryptography>=44"],
    "decord": ["decord==0.6.0"],
    "face-alignment": ["face-alignment>=1.5"],
    "heif": ["pillow-heif>=1.0"],
    "lmdb": ["lmdb>=1.5"],
    "lpips": ["lpips==0.1.4"],
    "onnx": ["onnxruntime>=1.20"],
    "openvino": ["openvino>=2025.0"],
    "ray": ["ray>=2.40"],
    "s3": ["s3fs>=2025.3"],
    "torchcodec": ["torchcodec>=0.13,<0.14"],
    "train": ["lightning-fabric>=2.5", "tensorboard>=2.18"],
}
TESTED = ("c2pa", "decord", "face-alignment", "heif", "lmdb", "onnx", "openvino", "train")  # extras that the tests run
DEV = [
    *(requirement for name in TESTED for requirement in EXTRAS[name]),
    "fsspec>=2025.3",
    "hypothesis>=6.100",
    "jsonschema>=4.20",
    "matplotlib>=3.9",
    "mypy>=1.14",
    "psutil>=6",
    "pytest>=8",
    "pytest-xdist>=3.6",
    "ruff>=0.9",
    "scenedetect>=0.6.5",
    "setuptools>=70.1",
    "websockets>=15",
]

# `stages`, `trainers` and `configs` are folders of their own in a checkout and parts of the one package `vidinv`.
TRAINERS = ["vidinv.trainers", *(f"vidinv.trainers.{name}" for name in find_packages("trainers"))]

setup(
    name="vidinv",
    version="0.1.0",
    description="Edit the face in a video by GAN inversion, keep everything else untouched, and report how well",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[*find_packages(include=["vidinv", "vidinv.*"]), "vidinv.stages", *TRAINERS, "vidinv.configs"],
    package_dir={
        "vidinv": "vidinv",
        "vidinv.stages": "stages",
        "vidinv.trainers": "trainers",
        "vidinv.configs": "configs",
    },
    package_data={"vidinv": ["assets/*", "assets/directions/*/*"], "vidinv.configs": ["*/*.yaml", "*/*/*.yaml"]},
    install_requires=CORE,
    extras_require={
        **EXTRAS,
        "all": [requirement for requirements in EXTRAS.values() for requirement in requirements],
        "dev": DEV,
    },
    entry_points={"console_scripts": ["vidinv = vidinv.cli.main:main"]},
)
