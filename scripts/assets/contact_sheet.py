"""Make a picture of a run: frames of the source above the same frames of the output.

python scripts/assets/contact_sheet.py examples/synthetic.mp4 examples/synthetic.edited.mp4 sheet.png --frames 12 24 36
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from vidinv.frames import Array
from vidinv.media import picture
from vidinv.media.image_grid import image_grid


def pick(path: Path, wanted: Sequence[int]) -> list[Array]:
    """The frames of these indices, [H,W,3] uint8 RGB, in order."""
    with av.open(str(path)) as container:
        found = {i: f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i in wanted}
    return [found[index] for index in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("edited", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", required=True)
    parser.add_argument("--height", type=int, default=300, help="of one row, in pixels")
    args = parser.parse_args()
    rows = [picture.from_pixels(np.stack(pick(path, args.frames))) for path in (args.source, args.edited)]
    scale = args.height / rows[0].shape[2]
    sheet = cv2.resize(picture.pixels(image_grid(rows)), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture.write_picture(args.picture, picture.from_pixels(sheet))


if __name__ == "__main__":
    main()
