"""Autoencoder data: corpus, tars and LMDB are sampled by seed, held out correctly, and bad pictures are skipped."""

from __future__ import annotations

from pathlib import Path

import lmdb
import numpy as np
import pytest
import torch

from tests.helpers.image_files import png, tar
from vidinv.errors import InputUnreadable, UsageError
from vidinv.generators import mobile_stylegan, proxy
from vidinv.trainers.data import corpus
from vidinv.trainers.data.image_sources import open_pictures
from vidinv.trainers.data.keyed_dataset import ImageDataset


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.npy"
    pictures = np.zeros((10, 3, 8, 8), np.uint8)
    pictures += 25 * np.arange(10, dtype=np.uint8)[:, None, None, None]
    pictures[..., 4:] += 5  # not the same mirrored
    np.save(path, pictures)
    return path


def test_a_corpus_is_drawn_by_seed_at_any_size_and_half_of_it_mirrored(stored: Path) -> None:
    found = open_pictures(str(stored), 4)
    first = found.draw(40, 1)
    assert first.shape == (40, 3, 4, 4) and torch.equal(first, found.draw(40, 1))
    assert not torch.equal(first, found.draw(40, 2))
    mirrored = (first[:, 0, 0, 0] > first[:, 0, 0, -1]).sum()
    assert 8 < mirrored < 32


def test_what_is_held_out_is_never_drawn(stored: Path) -> None:
    shades = ((open_pictures(str(stored), 8, held_out=4).draw(200, 0)[:, 0, 0] + 1) * 127.5).round()
    assert shades.max() <= 25 * 5 + 5
    assert float(corpus.open_corpus(stored, 8).last(4).at([0]).min()) == pytest.approx(25 * 6 / 127.5 - 1)
    with pytest.raises(UsageError, match="none of the 10"):
        open_pictures(str(stored), 8, held_out=10)


def test_a_corpus_of_samples_depends_on_their_numbers_alone(tmp_path: Path) -> None:
    generator = mobile_stylegan.tiny()
    render = proxy.load_proxy(generator, 64)
    corpus.draw_corpus(generator, render, tmp_path / "a.npy", 20, 32)
    made = corpus.open_corpus(tmp_path / "a.npy", 32)
    assert len(made) == 20 and [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    known = corpus.draw_samples(generator, render, 4, 2_000_001, 32)
    assert (made.at([16, 17, 18, 19]) - known).abs().max() < 0.01


def test_a_tar_is_read_in_place_and_what_is_no_picture_passed_over_by_name(tmp_path: Path) -> None:
    files = {"1.png": png(8, 200), "1.txt": b"a man", "2.jpg": b"torn", "3.png": png(8, 50, 16), "4.png": png(8, 100)}
    found = open_pictures(str(tar(tmp_path / "a.tar", files)), 4)
    with pytest.warns(UserWarning, match="is skipped") as said:
        shades = shades_of(found)
    assert shades == {200, 100} and len(said) == 2
    assert {Path(str(each.message).split(" ")[0]).name for each in said} == {"2.jpg", "3.png"}


def test_the_shards_of_a_pattern_are_one_set(tmp_path: Path) -> None:
    for shard, value in enumerate((50, 100, 200)):
        tar(tmp_path / f"faces-{shard}.tar", {"0.png": png(8, value)})  # the same name in each
    tar(tmp_path / "other.tar", {"0.png": png(8, 10)})
    assert shades_of(open_pictures(str(tmp_path / "faces-*.tar"), 4)) == {50, 100, 200}


def database(path: Path, entries: dict[str, bytes], folder: bool = True) -> Path:
    with lmdb.open(str(path), subdir=folder, map_size=1 << 20) as store, store.begin(write=True) as transaction:
        for key, value in entries.items():
            transaction.put(key.encode(), value)
    return path


def test_an_lmdb_of_several_sides_gives_the_least_that_suffices(tmp_path: Path) -> None:
    sides = {8: 50, 16: 100, 32: 200}
    entries = {f"{side}-{k:05d}": png(side, value + k) for side, value in sides.items() for k in range(2)}
    path = database(tmp_path / "faces", entries | {"length": b"2"})
    found = {size: shades_of(open_pictures(str(path), size)) for size in (4, 8, 16, 64)}
    assert found == {4: {50, 51}, 8: {50, 51}, 16: {100, 101}, 64: {200, 201}}


def test_an_lmdb_with_keys_of_any_kind_is_read_and_what_is_no_picture_passed_over(tmp_path: Path) -> None:
    entries = {"a": png(8, 200), "\xff": png(8, 100), "torn": b"x", "wide": png(8, 1, 16)}
    with pytest.warns(UserWarning, match="is skipped") as said:
        assert shades_of(open_pictures(str(database(tmp_path / "any.lmdb", entries, folder=False)), 4)) == {200, 100}
    assert {Path(str(each.message).split(" ")[0]).name for each in said} == {"torn", "wide"}


def shades_of(found: ImageDataset) -> set[int]:
    return {round(float(image[0, 0, 0] + 1) * 127.5) for image in found.draw(60, 0)}


def test_what_holds_no_pictures_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.zeros((2, 3, 4, 4)))
    (tmp_path / "a.tar").write_bytes(b"not a tar")
    empty = tar(tmp_path / "b.tar", {"a.txt": b"x"})
    for path, match in ((tmp_path / "floats.npy", "float64"), (tmp_path / "a.tar", "not a tar"), (empty, "no picture")):
        with pytest.raises(InputUnreadable, match=match):
            open_pictures(str(path), 8)
    (tmp_path / "torn.lmdb").write_bytes(b"no database")
    for path, match in (
        (tmp_path / "torn.lmdb", "not an LMDB"),
        (database(tmp_path / "none", {"length": b"0"}), "no picture"),
    ):
        with pytest.raises(InputUnreadable, match=match):
            open_pictures(str(path), 8)
    bad = tar(tmp_path / "c.tar", {"a.png": b"x"})
    with pytest.raises(InputUnreadable, match="can be read"), pytest.warns(UserWarning):
        open_pictures(str(bad), 8).draw(1, 0)


@pytest.mark.weights
def test_without_data_samples_are_made_as_they_are_drawn() -> None:
    found = open_pictures("", 16)
    first = found.draw(2, 5)
    assert first.shape == (2, 3, 16, 16) and torch.equal(first, found.draw(2, 5)) and first.abs().max() <= 1
