"""One StyleGAN2 network under the names of each published layout, and pickles of networks."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from tests.helpers import published_pggan, published_stylegan1, published_stylegan2, published_stylegan3
from vidinv.generators.biggan import BigGAN


def ada_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network under the names of StyleGAN2-ADA, written down layer by layer."""
    filters = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
    made = {"mapping.w_avg": torch.full((published_stylegan2.W,), 0.5)}
    for i in range(8):
        made |= {f"mapping.fc{i}.{part}": state[f"style.{i + 1}.{part}"] for part in ("weight", "bias")}
    made["synthesis.b4.const"] = state["input.input"][0]
    names = {"b4.conv1": "conv1", "b8.conv0": "convs.0", "b8.conv1": "convs.1", "b16.conv0": "convs.2"}
    names |= {"b16.conv1": "convs.3", "b32.conv0": "convs.4", "b32.conv1": "convs.5"}
    for index, (new, old) in enumerate(names.items()):
        made[f"synthesis.{new}.weight"] = state[f"{old}.conv.weight"][0]
        made[f"synthesis.{new}.bias"] = state[f"{old}.activate.bias"]
        made[f"synthesis.{new}.noise_const"] = state[f"noises.noise_{index}"][0, 0]
        made[f"synthesis.{new}.noise_strength"] = state[f"{old}.noise.weight"][0]
        made[f"synthesis.{new}.resample_filter"] = filters
        for part in ("weight", "bias"):
            made[f"synthesis.{new}.affine.{part}"] = state[f"{old}.conv.modulation.{part}"]
    for new, old in {"b4": "to_rgb1", "b8": "to_rgbs.0", "b16": "to_rgbs.1", "b32": "to_rgbs.2"}.items():
        made[f"synthesis.{new}.torgb.weight"] = state[f"{old}.conv.weight"][0]
        made[f"synthesis.{new}.torgb.bias"] = state[f"{old}.bias"].flatten()
        made[f"synthesis.{new}.resample_filter"] = filters
        for part in ("weight", "bias"):
            made[f"synthesis.{new}.torgb.affine.{part}"] = state[f"{old}.conv.modulation.{part}"]
    return made


def genforce_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network under genforce's names, with TensorFlow's values: styles from 1, kernels of correlations."""
    made = {"truncation.w_avg": torch.full((published_stylegan2.W,), 0.5)}
    for i in range(8):
        made |= {f"mapping.dense{i}.{part}": state[f"style.{i + 1}.{part}"] for part in ("weight", "bias")}
    made["synthesis.early_layer.const"] = state["input.input"]
    for index, old in enumerate(["conv1", *(f"convs.{i}" for i in range(6))]):
        new, weight = f"synthesis.layer{index}", state[f"{old}.conv.weight"][0]
        doubles = index in (1, 3, 5)
        made[f"{new}.weight"] = weight.flip(2, 3) if doubles else weight
        made[f"{new}.bias"] = state[f"{old}.activate.bias"]
        made[f"{new}.noise"] = state[f"noises.noise_{index}"]
        made[f"{new}.noise_strength"] = state[f"{old}.noise.weight"][0]
        made[f"{new}.style.weight"] = state[f"{old}.conv.modulation.weight"]
        made[f"{new}.style.bias"] = state[f"{old}.conv.modulation.bias"] - 1
        if doubles:
            made[f"{new}.filter.kernel"] = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 16
    for index, old in enumerate(["to_rgb1", "to_rgbs.0", "to_rgbs.1", "to_rgbs.2"]):
        new = f"synthesis.output{index}"
        made |= {f"{new}.weight": state[f"{old}.conv.weight"][0], f"{new}.bias": state[f"{old}.bias"].flatten()}
        made[f"{new}.style.weight"] = state[f"{old}.conv.modulation.weight"]
        made[f"{new}.style.bias"] = state[f"{old}.conv.modulation.bias"] - 1
    return made


def pickled_network(
    state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, judge: dict[str, Tensor] | None = None
) -> bytes:
    """A pickle of networks as objects, as StyleGAN2-ADA and 3 are published, with source that asks to be run."""
    module = ModuleType("torch_utils.persistence")
    exec("def _reconstruct_persistent_obj(meta): raise AssertionError('run')", module.__dict__)
    monkeypatch.setitem(sys.modules, "torch_utils", ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)

    class Network:
        def __init__(self, own: dict[str, Tensor]) -> None:
            inner: dict[str, dict[str, Tensor]] = {}
            for key, value in own.items():
                if "." in key:
                    inner.setdefault(key.split(".")[0], {})[key.partition(".")[2]] = value
            parameters = {
                k: torch.nn.Parameter(v) for k, v in own.items() if "." not in k and k.endswith(("weight", "bias"))
            }
            buffers = {k: v for k, v in own.items() if "." not in k and k not in parameters}
            modules = {name: Network(part) for name, part in inner.items()}
            self.state = {"_parameters": parameters, "_buffers": buffers, "_modules": modules, "training": False}

        def __reduce__(self) -> tuple[object, ...]:
            meta = {
                "type": "class",
                "version": 6,
                "module_src": "raise SystemExit",
                "class_name": "G",
                "state": self.state,
            }
            return module.__dict__["_reconstruct_persistent_obj"], (meta,)

    held = {"G": None, "D": Network(judge) if judge else None, "G_ema": Network(state)}
    content = pickle.dumps(held | {"training_set_kwargs": {"path": "x"}})
    monkeypatch.undo()
    return content


def biggan_state() -> dict[str, Tensor]:
    """A small BigGAN-deep with its spectral norm stored apart."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BigGAN("t", "t-z", 128, width=8, z_dim=12, class_dim=4, classes=3, statistics=5)
    state: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        if value.ndim > 1 and key.endswith("weight") and not key.startswith("embeddings"):
            left, _, right = torch.linalg.svd(value.flatten(1), full_matrices=False)
            state |= {f"{key}_orig": value, f"{key}_u": left[:, 0], f"{key}_v": right[0]}
        else:
            state[key] = value
    return state


LAYOUTS: dict[str, Callable[[], dict[str, Tensor]]] = {
    "ada": lambda: ada_state(published_stylegan2.published_state()),
    "genforce": lambda: genforce_state(published_stylegan2.published_state()),
    "stylegan3": lambda: published_stylegan3.published_state(False),
    "stylegan1": published_stylegan1.published_state,
    "pggan": published_pggan.published_state,
    "biggan": biggan_state,
}
