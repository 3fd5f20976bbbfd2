"""A thing before the face: the mask leaves it out, and the edit of a clip does not show over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.runs import TINY, edited, face_rows, frames_of, report_of
from vidinv.backends import tiny
from vidinv.bench.synthetic_clip import make_clip
from vidinv.config import MaskConfig
from vidinv.frames import Array, Mask
from vidinv.stages import mask

GREEN = (0, 255, 0)  # what the tiny backend takes for a thing before the face
WHOLE = Mask(np.ones((64, 64), np.float32))


def crop(columns: slice) -> torch.Tensor:
    """A grey crop [1,3,64,64] with a green bar over some columns."""
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, :, :, columns] = torch.tensor([-1.0, 1.0, -1.0])[None, :, None, None]
    return picture


def test_a_thing_is_left_out_and_its_share_is_said() -> None:
    crops = crop(slice(16, 32)).repeat(2, 1, 1, 1)
    mine, other = mask.remove_occlusion([{"face": WHOLE}, {}], crops, tiny.occlusion, MaskConfig())
    assert other == {}
    assert mine["face"].alpha[:, 18:30].max() < 0.02 and mine["face"].alpha[:, 40:].min() > 0.98
    assert abs(mine["face"].occluded - 0.25) < 0.05 and mine["face"].skin_cover == 1 - mine["face"].occluded


def test_without_it_the_masks_are_as_they_were() -> None:
    masks = [{"face": WHOLE}]
    assert mask.remove_occlusion(masks, crop(slice(0, 64)), tiny.occlusion, MaskConfig(occlusion=0.0)) is masks


def test_a_face_that_is_hidden_is_not_trusted() -> None:
    picture = torch.zeros(3, 64, 64)

    def confidence(columns: int) -> float:
        (mine,) = mask.remove_occlusion([{"face": WHOLE}], crop(slice(0, columns)), tiny.occlusion, MaskConfig())
        return mask.measure_confidence(picture, picture, mine["face"], MaskConfig())[1]

    found = [confidence(columns) for columns in (0, 24, 40, 62)]
    assert found[:2] == [1, 1] and 0.1 < found[2] < 0.9 and found[3] == 0


def test_a_face_that_the_parser_does_not_find_is_not_trusted() -> None:
    labels = np.zeros((128, 128), np.uint8)  # all background
    seen = tiny.parse(torch.zeros(1, 3, 8, 8), 128)[0]
    found = [mask.region_mask(source, seen, "face", 64, MaskConfig()) for source in (seen, labels)]
    assert [mask.parser_confidence(each) for each in found] == [1, 0]
    assert mask.parser_confidence(Mask(WHOLE.alpha, face=0.055)) == pytest.approx(0.5)


def clip(path: Path) -> Path:
    """A grey picture before whose middle a green bar goes to the right, a pixel a frame."""
    picture = np.random.default_rng(0).integers(90, 160, (64, 96, 3), np.uint8)

    def draw(index: int) -> Array:
        shown = picture.copy()
        shown[:, 30 + index : 46 + index] = GREEN
        return shown

    return make_clip(path, frames=12, image=draw, pix_fmt="yuv444p", options={"crf": "0"})


def test_an_edit_does_not_show_over_a_thing_that_moves(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv")
    changed = {}
    for name, settings in (("on", []), ("off", ["--set", "mask.occlusion=0"])):
        output = edited(
            source, tmp_path / f"{name}.mkv", "--codec", "lossless", "--set", "mask.parse_every=5", *settings
        )
        pairs = zip(frames_of(source), frames_of(output), strict=True)
        changed[name] = [np.abs(a[0].astype(int) - b[0]) for (_, a), (_, b) in pairs]
    bar = [each[:, 33 + k : 43 + k] for k, each in enumerate(changed["on"])]
    assert max(int(each.max()) for each in bar) <= 1
    assert max(int(each[:, 33 + k : 43 + k].max()) for k, each in enumerate(changed["off"])) > 10
    assert all(each[:, 56:].max() > 5 for each in changed["on"][:4])  # the face beside it is edited
    rows = face_rows(report_of(tmp_path / "on.mkv")["identity"]["tracks"][0])
    assert all(0.1 < row["occluded"] < 0.9 for row in rows), [row["occluded"] for row in rows]


def test_strength_0_leaves_a_hidden_face_bit_for_bit(tmp_path: Path) -> None:
    from vidinv.cli.main import main

    source, output = clip(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    assert main(["run", str(source), "--edit", "age+0", "-o", str(output), "--codec", "lossless", *TINY]) == 0
    for (_, a), (_, b) in zip(frames_of(source), frames_of(output), strict=True):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))
