"""The autoencoders in `examples/`: they load by their folders, and draw again faces that they never saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidinv.jobs.autoencoder import trained as trained_autoencoder
from vidinv.trainers.data.image_sources import open_pictures

FOLDER = Path(__file__).parents[2] / "examples" / "autoencoders"


@pytest.mark.parametrize("folder", sorted(FOLDER.iterdir()), ids=lambda folder: folder.name)
def test_each_has_its_card_and_a_recipe_without_paths(folder: Path) -> None:
    of = trained_autoencoder.load_autoencoder(folder)
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert of.generator.name == folder.name and f"# Model card: {folder.name}" in card and "non-commercial" in card
    assert "data: corpus.npy\n" in (folder / "recipe.yaml").read_text(encoding="utf-8")


@pytest.mark.weights
@pytest.mark.parametrize("folder", sorted(FOLDER.iterdir()), ids=lambda folder: folder.name)
def test_it_draws_samples_of_another_seed_nearer_than_their_mean(folder: Path) -> None:
    of = trained_autoencoder.load_autoencoder(folder)
    faces = open_pictures("", of.generator.resolution).draw(24, 123_456_789)
    again = of.draw(of.encode(faces))
    error = (again - faces).square().mean()
    assert error < 0.4 * (faces - faces.mean(0)).square().mean()
    apart = (again.roll(1, 0) - faces).square().mean()  # another one's
    assert error < 0.4 * apart
