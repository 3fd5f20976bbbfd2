"""Tune a generator to every person of the clip (`--tune generator`), or load one from a file.

Each generator is tuned to the key faces of one person and draws only that person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from vidinv import config_loading, fileio
from vidinv.backends.interface import Models
from vidinv.config import RunConfig
from vidinv.errors import OutputUnwritable, UsageError, VidinvError
from vidinv.faces import crops
from vidinv.fingerprint import JOB, deciding
from vidinv.frames import concatenate
from vidinv.generators import delta, discriminator_file, proxy
from vidinv.generators.base import Generator
from vidinv.generators.delta import Delta, DeltaFacts
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.tuning import common as tuning
from vidinv.jobs.tuning.common import TuningClip, TuningFacts
from vidinv.progress import Progress
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe

if TYPE_CHECKING:
    from vidinv.trainers.generator_tuning.context import PivotFaces

GROUP = "train/generator_tuning"
WHAT = "a generator that was tuned to this clip"


def load_recipe(config: RunConfig, generator: Generator) -> GeneratorTuningRecipe:
    """Load the recipe that the configuration names, limited to the generator's output size. Raises UsageError."""
    found = config_loading.load_dataclass(GeneratorTuningRecipe, GROUP, config.generator_tuning.recipe).within(
        generator.sizes[0]
    )
    found.check()
    return found


def tune_generator(
    models: Models, clip: TuningClip, config: RunConfig, folder: JobFolder, progress: Progress
) -> tuple[Models, TuningFacts | None]:
    """Return `models` with a generator for every person of `clip`, and the report's facts on it (None without a face).

    Tunings are stored as those of `tune_encoder`. Raises UsageError for an invalid recipe, OutputUnwritable if the disk
    is full, VidinvError if the tuning fails.
    """
    settings, recipe = config.generator_tuning, load_recipe(config, models.generator)
    wanted = clip.wanted(settings.faces + settings.held, config.crop)
    if not wanted:
        return models, None
    discriminator = discriminator_file.known(models.generator.name) if recipe.brought else None
    how = {
        "settings": deciding(settings, JOB),
        "recipe": recipe.deciding_settings(),
        "discriminator": discriminator.sha256 if discriminator else "",
    }
    mark = tuning.tuning_mark(clip, wanted, config, models.backend, how)

    def learn(work: Path) -> bytes:
        return _learn_generators(models, clip, wanted, config, recipe, work, progress)

    kept, facts = tuning.load_or_learn(folder, mark, learn, cached=config.tuning.cache)
    people, _ = delta.unpacked(kept, models.generator, WHAT)
    return with_tuned_generators(models, people), facts


def with_tuned_generators(models: Models, people: Mapping[int, Delta]) -> Models:
    """Return `models` with one tuned generator per person, from weight differences."""
    own = {person: delta.added(models.generator, each) for person, each in people.items()}
    return replace(models, people={k: (each, proxy.for_tuned_generator(models.proxy, each)) for k, each in own.items()})


def load_tuned_generators(models: Models, clip: TuningClip, config: RunConfig) -> Models:
    """Return `models` with the generators of the file `config.generator`.

    On the clip that it was tuned to, each person has their own generator; on another clip all share the only one.
    Raises UsageError for a file with several people of another clip, WeightsUnavailable for another base generator.
    """
    people, facts = delta.read_deltas(Path(config.generator), models.generator)
    if facts.source != clip.content:
        if len(people) != 1:
            raise UsageError(
                f"{config.generator} holds {len(people)} people of another clip",
                remedy="give a generator that was tuned to this clip or to one person",
            )
        (only,) = people.values()
        people = {track.id: only for track in clip.analysis.tracks}
    return with_tuned_generators(models, people)


def write_tuned_generator(folder: JobFolder, path: Path) -> None:
    """Write the job's tuned generators to `path`, for `--generator FILE`. Raises OutputUnwritable."""
    learned = fileio.read_sealed(folder.path / tuning.TUNING_FILE)
    if learned is None:
        raise OutputUnwritable(f"{path.name} was not written: the clip has no face to tune to")
    delta.write_deltas(path, learned)


def _learn_generators(
    models: Models,
    clip: TuningClip,
    wanted: crops.WantedCrops,
    config: RunConfig,
    recipe: GeneratorTuningRecipe,
    work: Path,
    progress: Progress,
) -> bytes:
    """Tune and return a file with one set of weight differences per person; its metadata hold the facts."""
    from vidinv.trainers.generator_tuning import (
        train as generator_tuning,  # the training libraries take seconds to import
    )

    seen = tuning.key_crops(clip, wanted, config.crop)
    keys, held = tuning.choose_faces(clip, seen, config.generator_tuning.faces, config.generator_tuning.held)
    perceptual = models.backend.guides(models.device).perceptual
    found: dict[int, Delta] = {}
    people: list[TuningFacts] = []
    for person in sorted({face.track for face in keys}):
        mine, apart = (
            _pivots(models, [seen[face.key] for face in each if face.track == person]) for each in (keys, held)
        )
        assert mine is not None
        place = work / str(person)
        try:
            made = generator_tuning.tune(
                models.generator, models.proxy, mine, perceptual, recipe, place, progress, held=apart
            )
        except UsageError:
            raise
        except VidinvError as error:
            raise VidinvError(
                f"tuning the generator to person {person} failed: {error.what}",
                remedy="use --tune none, or a recipe with a lower rate",
            ) from error
        found[person] = delta.between(models.generator, made.state)
        best = made.best.step if made.best else recipe.steps
        people.append({"track": person, "best_step": best, "validation": tuning.validation_curve(made)})
    tuning_facts = {
        "what": "generator",
        "key_faces": [list(face.key) for face in keys],
        "held_out": [list(face.key) for face in held],
        "people": people,
    }
    base = models.generator
    facts = DeltaFacts(base.name, base.space, delta.fingerprint(base), clip.content, recipe.deciding_settings())
    return delta.packed(found, facts, recipe.rank, {"tuning": json.dumps(tuning_facts)})


@torch.no_grad()
def _pivots(models: Models, crops: list[torch.Tensor]) -> PivotFaces | None:
    """Encode faces [1,3,S,S]; None for an empty list."""
    from vidinv.trainers.generator_tuning.context import PivotFaces

    if not crops:
        return None
    images = [crop.to(models.device) for crop in crops]
    return PivotFaces(torch.cat(images), concatenate([models.encoder(image) for image in images]))
