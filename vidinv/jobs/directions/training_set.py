"""What a lesson is learned from: the generator's own faces, or an encoder's codes of photos, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidinv.backends.interface import Backend, Models
from vidinv.editing import direction_training
from vidinv.editing.direction_training import Measure, MeasuredSamples, RenderContext
from vidinv.editing.scores import Scores
from vidinv.errors import InputUnreadable, NoFaceFound
from vidinv.jobs.directions import example_codes

Done = Callable[[int], None]  # hears how many more faces were looked at


@dataclass(frozen=True)
class Material:
    """Readings, the words that say of what, and what had to be left out."""

    readings: MeasuredSamples
    told: str
    left_out: tuple[str, ...] = ()


def of_samples(studio: RenderContext, count: int, seed: int, done: Done) -> Material:
    """`count` of the generator's faces, measured."""
    readings = direction_training.measure_samples(
        studio, direction_training.samples(studio.generator, count, seed), done
    )
    return Material(readings, f"{count} samples of {studio.generator.name}, seed {seed}")


def of_seeds(studio: RenderContext, attribute: str, scores: Scores, done: Done) -> Material:
    """The generator's faces of these seeds with their scores of the attribute; all else is measured."""
    w = torch.cat([direction_training.samples(studio.generator, 1, seed) for seed in scores.seeds])
    readings = direction_training.measure_samples(studio, w, done)
    known = {**readings.scores, attribute: scores.values}
    return Material(MeasuredSamples(readings.w, known), f"scores of {len(w)} samples of {studio.generator.name}")


def of_photos(
    paths: Sequence[Path],
    backend: Backend,
    models: Models,
    measure: Measure,
    done: Done,
    known: Mapping[str, Tensor] | None = None,
) -> Material:
    """The encoder's own codes w+ [N,L,D] of the largest face in every picture, measured on the pictures themselves.

    The Feature-Style encoder paper's protocol (Sec. 5.3). Scores that are `known` of every picture, attribute -> [N],
    stand before those that are measured. A picture that cannot be read, or shows no face, is left out; raises
    NoFaceFound where none is left.
    """
    locate, codes, rows, left_out, kept = example_codes.locator(backend), [], [], [], []
    for place, path in enumerate(paths):
        try:
            image = example_codes.aligned(path, locate, backend.framing)
        except (InputUnreadable, NoFaceFound) as error:
            left_out.append(error.what)
        else:
            codes.append(example_codes.encoded(image, models))
            rows.append(measure(image))
            kept.append(place)
        done(1)
    if not codes:
        raise NoFaceFound(f"no face in any of {len(paths)} pictures", remedy="give pictures of faces")
    found = {name: torch.from_numpy(np.concatenate([row[name] for row in rows])).float() for name in rows[0]}
    found |= {name: values[kept] for name, values in (known or {}).items()}
    told = f"the encoder's codes of {len(kept)} pictures"
    return Material(MeasuredSamples(torch.cat(codes), found), told, tuple(left_out))
