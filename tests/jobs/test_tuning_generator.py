"""A generator for every person of a clip: each has their own, a job goes on with it, and files say who they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.helpers.observed_progress import ObservedProgress
from tests.helpers.tuning_clips import TRACKS, clip_of, track
from vidinv import config as configs
from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.bench.synthetic_clip import make_clip
from vidinv.config import RunConfig
from vidinv.errors import OutputUnwritable, UsageError, WeightsUnavailable
from vidinv.generators import delta, discriminator_file
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.tuning import common as tuning
from vidinv.jobs.tuning import generator as generator_tuning
from vidinv.progress import PhaseProgress, SilentProgress
from vidinv.weights.imported import ImportedFacts

pytestmark = pytest.mark.usefixtures("own_cache")


def settings(tmp_path: Path, *changes: str) -> RunConfig:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{steps: 4, look: 4, layers: 0, levels: 3, widest: 8, started: 2, rate: 2e-3, target: 0}\n")
    return configs.load_run_config(
        "fast", ["backend=tiny", "crop=64", "tune=generator", f"generator_tuning.recipe={recipe}", *changes]
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=12)


def pictures(models: Models, person: int) -> torch.Tensor:
    own = models.of(person).generator
    return own.synthesize(own.broadcast(own.sample(1, seed=3)))


def test_every_person_has_a_generator_of_their_own(tmp_path: Path, source: Path) -> None:
    models, config = backends.choose_backend("tiny").models("cpu", ""), settings(tmp_path)
    with JobFolder(tmp_path / "out.mp4") as folder:
        after, said = generator_tuning.tune_generator(
            models, clip_of(source, TRACKS, 12), config, folder, SilentProgress()
        )
        again, later = generator_tuning.tune_generator(
            models, clip_of(source, TRACKS, 12), config, folder, SilentProgress()
        )
        assert not (folder.path / "tuning").exists()
    assert said is not None and later == said and not said["from_cache"]
    assert [each["track"] for each in said["people"]] == [0, 3] and said["what"] == "generator"
    assert sorted(after.people) == [0, 3] and after.generator is models.generator
    base, one, other = (pictures(after, person) for person in (9, 0, 3))
    assert not torch.allclose(one, other, atol=1e-4) and not torch.allclose(one, base, atol=1e-4)
    assert torch.equal(pictures(again, 0), one)


def test_another_edit_of_the_clip_does_not_tune_again_and_another_recipe_does(tmp_path: Path, source: Path) -> None:
    models, clip = backends.choose_backend("tiny").models("cpu", ""), clip_of(source, TRACKS[:1], 12)
    trainings: list[str] = []
    progress = PhaseProgress(ObservedProgress(on_phase=trainings.append), "tune")
    config = settings(tmp_path)
    for name, asked, wanted in (
        ("first", config, 1),
        ("another edit", replace(config, edits=("age+1",)), 1),
        ("fewer faces", settings(tmp_path, "generator_tuning.faces=3"), 2),
    ):
        with JobFolder(tmp_path / f"{name}.mp4") as folder:
            _, said = generator_tuning.tune_generator(models, clip, asked, folder, progress)
        assert trainings == ["tune"] * wanted and said is not None
        assert said["from_cache"] == (name == "another edit")


def test_a_discriminator_that_came_with_the_generator_makes_another_tuning(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, clip, marks = (
        backends.choose_backend("tiny").models("cpu", ""),
        clip_of(source, TRACKS[:1], 12),
        list[str](),
    )

    def stopped(folder: JobFolder, mark: str, *rest: object, **options: object) -> object:
        marks.append(mark)
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "load_or_learn", stopped)
    facts = ImportedFacts("tiny", "discriminator", "stylegan2", {}, "", "", "", "", sha256="its own")
    for known, asked in ((None, ""), (facts, ""), (facts, "brought: false")):
        monkeypatch.setattr(discriminator_file, "known", lambda name, known=known: known)
        config = settings(tmp_path)
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("}", f", {asked}}}" if asked else "}"))
        with JobFolder(tmp_path / "out.mp4") as folder, pytest.raises(KeyboardInterrupt):
            generator_tuning.tune_generator(models, clip, config, folder, SilentProgress())
    assert len(set(marks)) == 3


def test_a_file_serves_its_clip_by_person_and_another_clip_by_its_only_one(tmp_path: Path, source: Path) -> None:
    models, config = backends.choose_backend("tiny").models("cpu", ""), settings(tmp_path)
    both, only = clip_of(source, TRACKS, 12), clip_of(source, TRACKS[:1], 12)
    for name, clip in (("both", both), ("only", only)):
        with JobFolder(tmp_path / f"{name}.mp4") as folder:
            generator_tuning.tune_generator(models, clip, config, folder, SilentProgress())
            generator_tuning.write_tuned_generator(folder, tmp_path / f"{name}.safetensors")
    asked = replace(config, tune="none", generator=str(tmp_path / "both.safetensors"))
    assert sorted(generator_tuning.load_tuned_generators(models, both, asked).people) == [0, 3]
    elsewhere = clip_of(source, (track(5, range(12), 4.0), *TRACKS), 12, "another")
    with pytest.raises(UsageError, match="2 people of another clip"):
        generator_tuning.load_tuned_generators(models, elsewhere, asked)
    alone = replace(asked, generator=str(tmp_path / "only.safetensors"))
    everybody = generator_tuning.load_tuned_generators(models, elsewhere, alone)
    assert sorted(everybody.people) == [0, 3, 5]
    assert torch.equal(pictures(everybody, 5), pictures(everybody, 0))
    other = delta.added(models.generator, {"to_image.bias": torch.full((1,), 0.1)})
    with pytest.raises(WeightsUnavailable, match="another"):
        generator_tuning.load_tuned_generators(replace(models, generator=other), both, asked)


def test_a_clip_without_faces_changes_nothing(tmp_path: Path) -> None:
    models = backends.choose_backend("tiny").models("cpu", "")
    with JobFolder(tmp_path / "out.mp4") as folder:
        assert generator_tuning.tune_generator(
            models, clip_of(tmp_path, (), 4), settings(tmp_path), folder, SilentProgress()
        ) == (
            models,
            None,
        )
        with pytest.raises(OutputUnwritable, match="no face"):
            generator_tuning.write_tuned_generator(folder, tmp_path / "none.safetensors")


def test_what_the_report_says_lies_in_the_file(tmp_path: Path, source: Path) -> None:
    models = backends.choose_backend("tiny").models("cpu", "")
    with JobFolder(tmp_path / "out.mp4") as folder:
        _, said = generator_tuning.tune_generator(
            models, clip_of(source, TRACKS, 12), settings(tmp_path), folder, SilentProgress()
        )
        generator_tuning.write_tuned_generator(folder, tmp_path / "file.safetensors")
    people, facts = delta.read_deltas(tmp_path / "file.safetensors", models.generator)
    told = tuning.read_facts((tmp_path / "file.safetensors").read_bytes())
    assert said is not None and told["people"] == json.loads(json.dumps(said["people"]))
    assert facts.recipe["steps"] == 4 and facts.source == "its content" and sorted(people) == [0, 3]
