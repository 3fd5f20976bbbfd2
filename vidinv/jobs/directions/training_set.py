"""Build the training set of a direction: codes of generated faces or of photos, with their attribute scores."""

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

Done = Callable[[int], None]  # called with the number of faces processed since the last call


@dataclass(frozen=True)
class TrainingSet:
    """Codes with scores, a description of their source, and the errors of the pictures left out."""

    readings: MeasuredSamples
    description: str
    left_out: tuple[str, ...] = ()


def from_samples(context: RenderContext, count: int, seed: int, done: Done) -> TrainingSet:
    """Measure `count` samples of the generator."""
    readings = direction_training.measure_samples(
        context, direction_training.samples(context.generator, count, seed), done
    )
    return TrainingSet(readings, f"{count} samples of {context.generator.name}, seed {seed}")


def from_seeds(context: RenderContext, attribute: str, scores: Scores, done: Done) -> TrainingSet:
    """The generator's faces of these seeds with the given scores of `attribute`; other attributes are measured."""
    w = torch.cat([direction_training.samples(context.generator, 1, seed) for seed in scores.seeds])
    readings = direction_training.measure_samples(context, w, done)
    known = {**readings.scores, attribute: scores.values}
    return TrainingSet(MeasuredSamples(readings.w, known), f"scores of {len(w)} samples of {context.generator.name}")


def from_photos(
    paths: Sequence[Path],
    backend: Backend,
    models: Models,
    measure: Measure,
    done: Done,
    known: Mapping[str, Tensor] | None = None,
) -> TrainingSet:
    """Encode the largest face of every picture to w+ [N,L,D], with attributes measured on the pictures themselves.

    The Feature-Style encoder paper's protocol (Sec. 5.3). `known` scores, attribute -> [N], replace measured ones. A
    picture that cannot be read or shows no face is left out. Raises NoFaceFound if none is left.
    """
    locate, codes, rows, left_out, kept = example_codes.build_locator(backend), [], [], [], []
    for place, path in enumerate(paths):
        try:
            image = example_codes.align_picture(path, locate, backend.framing)
        except (InputUnreadable, NoFaceFound) as error:
            left_out.append(error.what)
        else:
            codes.append(example_codes.encode_face(image, models))
            rows.append(measure(image))
            kept.append(place)
        done(1)
    if not codes:
        raise NoFaceFound(f"no face in any of {len(paths)} pictures", remedy="give pictures of faces")
    found = {name: torch.from_numpy(np.concatenate([row[name] for row in rows])).float() for name in rows[0]}
    found |= {name: values[kept] for name, values in (known or {}).items()}
    description = f"the encoder's codes of {len(kept)} pictures"
    return TrainingSet(MeasuredSamples(torch.cat(codes), found), description, tuple(left_out))
