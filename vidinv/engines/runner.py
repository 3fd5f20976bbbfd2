"""Runner: run modules by the chosen engine and precision.

Only work without gradients runs here: the encoder where codes are not refined, and the drawing of pictures. A network
is given as a module of tensors (`vidinv/engines/export_modules.py`). The runner prepares it once for each shape of its
inputs and compares the result with that of torch in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vidinv import extras
from vidinv.engines import exported
from vidinv.errors import UsageError

Run = Callable[..., tuple[Tensor, ...]]
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}  # packages that an engine needs in addition to torch
ENGINES = ("eager", "compile", "openvino", "onnx")
PRECISIONS = ("float32", "bfloat16")
TOLERANCE_DB = 45.0  # least PSNR of an engine's result to torch in float32; other engines in float32 are above 65


@dataclass
class Runner:
    """Runs modules by one engine; `engine` is one of ENGINES, `precision` of PRECISIONS. Any device is supported."""

    engine: str = "eager"
    precision: str = "float32"
    threads: int = 0  # threads of OpenVINO and ONNX Runtime; 0: as many as torch has
    prepared: dict[tuple[object, ...], tuple[nn.Module, Run]] = field(default_factory=dict, repr=False)

    @torch.no_grad()
    def __call__(self, graph: nn.Module, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        """The outputs of `graph` for `inputs`, in float32 and without gradients.

        Raises UsageError where the engine cannot run the module, or its result differs from torch's by more than
        TOLERANCE_DB allows.
        """
        if self.engine == "eager":
            return self._eager(graph, inputs)
        given = tuple(each for each in inputs if each is not None)
        key = (id(graph), *(tuple(each.shape) for each in given))
        if key not in self.prepared:
            self.prepared[key] = (graph, self._prepare(graph, given))
        return self.prepared[key][1](*given)

    def _eager(self, graph: nn.Module, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        with self._half(inputs):
            return tuple(each.float() for each in graph(*inputs))

    def _half(self, inputs: tuple[Tensor | None, ...]) -> AbstractContextManager[object]:
        if self.precision == "float32" or inputs[0] is None:
            return nullcontext()
        return torch.autocast(inputs[0].device.type, torch.bfloat16)

    def _prepare(self, graph: nn.Module, inputs: tuple[Tensor, ...]) -> Run:
        require(self.engine)
        graph.eval()  # otherwise an exporter returns the module to training mode
        threads = self.threads or torch.get_num_threads()
        try:
            if self.engine == "compile":
                run = self._compiled(graph)
            elif self.engine == "openvino":
                run = exported.openvino(graph, inputs, self.precision, threads)
            else:
                run = exported.onnx(graph, inputs, threads)
            found = run(*inputs)
        except Exception as error:  # each engine raises errors of its own classes
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise UsageError(
                f"--engine {self.engine} cannot run {type(graph).__name__} ({reason[0][:200]})",
                remedy="use --engine eager",
            ) from error
        for ours, wanted in zip(found, graph(*inputs), strict=True):
            if (psnr := psnr_db(ours, wanted)) < TOLERANCE_DB:
                raise UsageError(
                    f"--engine {self.engine} computes {type(graph).__name__} at {psnr:.1f} dB PSNR to float32, below "
                    f"{TOLERANCE_DB:g} dB",
                    remedy="use --engine eager",
                )
        return run

    def _compiled(self, graph: nn.Module) -> Run:
        compiled = torch.compile(graph, dynamic=False)

        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            with self._half(inputs):
                return tuple(each.float() for each in compiled(*inputs))

        return run


def require(engine: str) -> None:
    """Raise UsageError where an engine's package is not installed, or the engine is not known."""
    if engine not in ENGINES:
        raise UsageError(f"--engine {engine!r} is not known", remedy=f"choose one of auto, {', '.join(ENGINES)}")
    package = PACKAGES.get(engine)
    if package is not None:
        extras.require(package, f"--engine {engine}", instead="use --engine auto or eager")


def native_precision(device: str) -> str:
    """ "bfloat16" where the processor or the GPU has instructions for its products, else "float32"."""
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able = (getattr(torch.cpu, name, lambda: False) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bfloat16" if any(test() for test in able) else "float32"


def psnr_db(found: Tensor, wanted: Tensor) -> float:
    """PSNR in dB of `found` to `wanted`, whose range is the peak; infinite for equal tensors."""
    error = float((found.float() - wanted).square().mean())
    peak = float(wanted.max() - wanted.min())
    return math.inf if error == 0 else 10 * math.log10(max(peak, 1e-12) ** 2 / error)
