"""The networks of a job by backend: what finds, describes, parses and re-draws the face.

`default` is what a user gets. `tiny` is for tests (`vidinv/backends/tiny.py`). Any other is a file of the user's
(`vidinv/backends/spec.py`): a generator of one's own, for faces or for something else.
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
    """The named backend: one of vidinv's own, one of the user's, or that of a file.

    Raises UsageError for an unknown one and for one whose parts do not fit each other, WeightsUnavailable for a
    damaged part.
    """
    if name in BACKENDS:
        return BACKENDS[name]
    return build_backend.build_backend(name, backend_spec.read_description(name, list(BACKENDS)))


def stay_loaded() -> None:
    """From here on this process loads each network once, for all its jobs: for a worker that does many of them."""
    for name, backend in list(BACKENDS.items()):
        BACKENDS[name] = _loaded_once(backend)


def _loaded_once(backend: Backend) -> Backend:
    """The backend, whose parts are loaded by the first call and kept."""

    @lru_cache(maxsize=2)  # several encoders may come by
    def models(device: str, encoder: str) -> Models:
        return replace(backend.models(device, encoder), backend=kept)

    kept = replace(
        backend,
        locator=cache(backend.locator),
        judges=cache(backend.judges),
        models=models,
        guides=cache(backend.guides),
    )
    return kept


def refiner(models: Models, precision: str) -> Refine:
    """Refinement of one frame's code towards its picture, with the guides of the models' backend.

    `precision` is settled. The steps go through the proxy head only where the generator is too heavy for them.
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
    """What directions are learned and looked at through: faces drawn by the models' proxy head.

    `measure` is that of the models' backend unless another is given.
    """
    embed, seen = models.identity.get("arcface"), measure or models.backend.measure()
    return RenderContext(
        generator=models.generator,
        paint=lambda code: models.proxy(code.ws.to(models.device), styles=code.styles).cpu(),
        measure=seen,
        embed=None if embed is None else lambda images: torch.from_numpy(embed(images)),
    )
