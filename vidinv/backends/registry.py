"""Choose a backend by name: the networks that locate, recognise, parse and draw faces.

`default` is the backend of a plain run. `tiny` is for tests (`vidinv/backends/tiny.py`). Any other name is a YAML file
of the user (`vidinv/backends/spec.py`) with their own generator, for faces or for something else.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache

import torch

from vidinv.backends import build as build_backend
from vidinv.backends import spec as backend_spec
from vidinv.backends import tiny
from vidinv.backends.interface import Backend, Models
from vidinv.backends.spec import Description
from vidinv.config import Effort
from vidinv.editing import refine
from vidinv.editing.direction_training import Measure, RenderContext
from vidinv.editing.refine import Refine, Trace
from vidinv.frames import Code
from vidinv.generators.proxy import Proxy

GENERATOR, SPACE = "mobile-stylegan-ffhq-1024", "mobile-stylegan-ffhq-w"  # of the default backend
BACKENDS = {
    "default": build_backend.build_backend("default", Description(generator=GENERATOR, encoder="feature-style-light")),
    "tiny": tiny.BACKEND,
}


def choose_backend(name: str) -> Backend:
    """Resolve a built-in backend, a backend of the user by name, or a YAML file.

    Raises UsageError for an unknown backend and for parts that do not fit each other, WeightsUnavailable for a damaged
    part.
    """
    if name in BACKENDS:
        return BACKENDS[name]
    return build_backend.build_backend(name, backend_spec.read_description(name, list(BACKENDS)))


def keep_networks_loaded() -> None:
    """Keep loaded networks for all later jobs of this process; for workers that run many jobs."""
    for name, backend in list(BACKENDS.items()):
        BACKENDS[name] = _loaded_once(backend)


def _loaded_once(backend: Backend) -> Backend:
    """The backend with parts that are loaded by the first call and kept."""

    @lru_cache(maxsize=2)  # jobs may use several encoders
    def models(device: str, encoder: str) -> Models:
        return replace(backend.models(device, encoder), backend=kept)

    kept = replace(
        backend,
        locator=cache(backend.locator),
        evaluators=cache(backend.evaluators),
        models=models,
        guides=cache(backend.guides),
    )
    return kept


def refiner(models: Models, precision: str) -> Refine:
    """Build the refinement of one frame's code towards its picture, with the loss networks of the models' backend.

    `precision` is settled. The steps use the proxy head only if the generator is too heavy for them.
    """
    guides = models.backend.guides(models.device)
    settings = refine.Settings(size=min(refine.Settings.size, models.generator.sizes[0]))
    drawers = {person: models.of(person) for person in models.people}

    def refine_one(
        code: Code, image: torch.Tensor, before: Trace | None, effort: Effort, person: int | None = None
    ) -> tuple[Code, Trace]:
        own = models if person is None else drawers.get(person, models)
        head = own.proxy if isinstance(own.proxy, Proxy) and own.proxy.size == settings.size else None
        quick = None if own.generator.is_light else head
        half, tuned = precision == "bfloat16", own is not models
        return refine.refine(
            own.generator, code, image, before, effort, guides, settings, quick, half=half, tuned=tuned
        )

    return refine_one


def render_context(models: Models, measure: Measure | None = None) -> RenderContext:
    """Build the context in which directions are learned and measured: faces drawn by the models' proxy head.

    `measure` replaces the measure of the models' backend, if given.
    """
    embed, seen = models.identity.get("arcface"), measure or models.backend.measure()
    return RenderContext(
        generator=models.generator,
        paint=lambda code: models.proxy(code.ws.to(models.device), styles=code.styles).cpu(),
        measure=seen,
        embed=None if embed is None else lambda images: torch.from_numpy(embed(images)),
    )
