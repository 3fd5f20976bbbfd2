"""Tune a generator to every person of the clip (`--tune generator`), or take one from a file.

Each is tuned to the person's own key faces and draws that person alone: two people of one clip never mix.
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
from vidinv.jobs.tuning.common import Said, TuningClip
from vidinv.progress import Progress
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe

if TYPE_CHECKING:
    from vidinv.trainers.generator_tuning.context import PivotFaces

GROUP = "train/generator_tuning"
WHAT = "a generator that was tuned to this clip"


def recipe_of(config: RunConfig, generator: Generator) -> GeneratorTuningRecipe:
    """The recipe that the configuration names, no larger than the generator's pictures. Raises UsageError."""
    found = config_loading.load_dataclass(GeneratorTuningRecipe, GROUP, config.generator_tuning.recipe).within(
        generator.sizes[0]
    )
    found.check()
    return found


def tuned(
    models: Models, clip: TuningClip, config: RunConfig, folder: JobFolder, progress: Progress
) -> tuple[Models, Said | None]:
    """`models` with a generator for every person of `clip`, and what the report says of it; None without a face.

    Kept and found again as `tune.tuned` does. Raises UsageError for a recipe that cannot be, OutputUnwritable where the
    folder's disk is full, VidinvError where the tuning fails.
    """
    settings, recipe = config.generator_tuning, recipe_of(config, models.generator)
    wanted = clip.wanted(settings.faces + settings.held, config.crop)
    if not wanted:
        return models, None
    judge = discriminator_file.known(models.generator.name) if recipe.brought else None
    how = {
        "settings": deciding(settings, JOB),
        "recipe": recipe.deciding_settings(),
        "discriminator": judge.sha256 if judge else "",
    }
    mark = tuning.tuning_mark(clip, wanted, config, models.backend, how)

    def learn(work: Path) -> bytes:
        return _learned(models, clip, wanted, config, recipe, work, progress)

    kept, facts = tuning.learned(folder, mark, learn, cached=config.tuning.cache)
    people, _ = delta.unpacked(kept, models.generator, WHAT)
    return drawn_by(models, people), facts


def drawn_by(models: Models, people: Mapping[int, Delta]) -> Models:
    """`models` with these differences, each for its person."""
    own = {person: delta.added(models.generator, each) for person, each in people.items()}
    return replace(models, people={k: (each, proxy.for_tuned_generator(models.proxy, each)) for k, each in own.items()})


def from_file(models: Models, clip: TuningClip, config: RunConfig) -> Models:
    """`models` with the generators of the file `config.generator`.

    Of the clip that it was tuned to everybody has their own; on another everybody has the only one. Raises UsageError
    for a file of several people of another clip, WeightsUnavailable for one of another generator.
    """
    people, facts = delta.read_deltas(Path(config.generator), models.generator)
    if facts.source != clip.content:
        if len(people) != 1:
            raise UsageError(
                f"{config.generator} holds {len(people)} people of another clip",
                remedy="give one that was tuned to this clip, or to one person",
            )
        (only,) = people.values()
        people = {track.id: only for track in clip.analysis.tracks}
    return drawn_by(models, people)


def keep(folder: JobFolder, path: Path) -> None:
    """Write what was learned in the job to `path`, for `--generator FILE`. Raises OutputUnwritable."""
    learned = fileio.read_sealed(folder.path / tuning.NAME)
    if learned is None:
        raise OutputUnwritable(f"no face was there to tune to, so {path.name} is not written")
    delta.write_deltas(path, learned)


def _learned(
    models: Models,
    clip: TuningClip,
    wanted: crops.WantedCrops,
    config: RunConfig,
    recipe: GeneratorTuningRecipe,
    work: Path,
    progress: Progress,
) -> bytes:
    """A file of differences, one set a person; its metadata say from which faces, and how they came."""
    from vidinv.trainers.generator_tuning import (
        train as generator_tuning,  # the training's libraries take seconds to load, and few runs need them
    )

    seen = tuning.key_crops(clip, wanted, config.crop)
    keys, held = tuning.chosen(clip, seen, config.generator_tuning.faces, config.generator_tuning.held)
    perceptual = models.backend.guides(models.device).perceptual
    found: dict[int, Delta] = {}
    people: list[Said] = []
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
                f"tuning the generator to person {person} failed: {error.what}", remedy="--tune none, or a lower rate"
            ) from error
        found[person] = delta.between(models.generator, made.state)
        best = made.best.step if made.best else recipe.steps
        people.append({"track": person, "best_step": best, "validation": tuning.curve(made)})
    said = {
        "what": "generator",
        "key_faces": [list(face.key) for face in keys],
        "held_out": [list(face.key) for face in held],
        "people": people,
    }
    base = models.generator
    facts = DeltaFacts(base.name, base.space, delta.fingerprint(base), clip.content, recipe.deciding_settings())
    return delta.packed(found, facts, recipe.rank, {"tuning": json.dumps(said)})


@torch.no_grad()
def _pivots(models: Models, crops: list[torch.Tensor]) -> PivotFaces | None:
    """Faces [1,3,S,S] with the encoder's codes of them; None of none."""
    from vidinv.trainers.generator_tuning.context import PivotFaces

    if not crops:
        return None
    images = [crop.to(models.device) for crop in crops]
    return PivotFaces(torch.cat(images), concatenate([models.encoder(image) for image in images]))
