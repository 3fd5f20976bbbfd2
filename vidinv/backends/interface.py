"""What a backend is: the networks of a job by the part they play, each loaded when it is called for.

`vidinv/backends/registry.py` chooses one by name. Where a part is absent (no identity network, no parser, no measures, no proxy
head, no encoder) something that plays it harmlessly stands in, and the backend says that it is absent: `recognises`,
`parses`, `measures`, `perceives`, `encodes`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import torch

from vidinv.editing.direction_training import Measure
from vidinv.editing.directions import Direction
from vidinv.editing.refine import OptionalGuides
from vidinv.encoders.base import Encoder
from vidinv.faces import alignment
from vidinv.faces.framing import Framing
from vidinv.faces.tracker import FrameFaces
from vidinv.frames import Array
from vidinv.generators.base import Generator
from vidinv.generators.proxy import ImageDecoder

LocatedFaces = FrameFaces  # of one frame, in its pixels
# RGB uint8 [H,W,3], clockwise rotation for display, boxes [N,4] already known (None: detect) -> faces
Locate = Callable[[Array, int, "Array | None"], LocatedFaces]
Embed = Callable[[torch.Tensor], Array]  # [N,3,S,S] in [-1,1] -> [N,D], L2-normalised
Parse = Callable[[torch.Tensor, int], Array]  # images, size -> labels uint8 [N,size,size], of parser.CLASSES
Occlude = Callable[[torch.Tensor], Array]  # [N,3,S,S] in [-1,1] -> alpha [N,s,s] in [0,1] of what lies before them


@dataclass(frozen=True)
class FaceEvaluators:
    """What looks at faces, whoever made them; both take pictures on the CPU."""

    parse: Parse
    identity: dict[str, Embed]


@dataclass(frozen=True)
class Models:
    """What the second pass runs, on `device`; `parse`, `occlusion` and `identity` take pictures on the CPU.

    `backend` is the one whose networks these are. `people` are generators that were tuned to a person each, by track,
    and what draws them quickly; they differ from `generator` above F alone.
    """

    generator: Generator
    proxy: ImageDecoder
    encoder: Encoder
    parse: Parse
    occlusion: Occlude
    identity: dict[str, Embed]
    device: str
    backend: Backend
    people: Mapping[int, tuple[Generator, ImageDecoder]] = field(default_factory=dict)

    def of(self, person: int) -> Models:
        """The same with what draws this person: the generator that was tuned to them, where there is one."""
        if person not in self.people:
            return self
        generator, proxy = self.people[person]
        return replace(self, generator=generator, proxy=proxy, people={})


class MeasureFactory(Protocol):
    """What gives the measure, on the CPU, of the attributes `names`; of all if None."""

    def __call__(self, names: Collection[str] | None = None) -> Measure: ...


@dataclass(frozen=True)
class UserPart:
    """A part that the user brought: what it is, the sha256 of its file, its terms and where it is from."""

    name: str
    sha256: str
    licence: str
    origin: str


@dataclass(frozen=True)
class Backend:
    """One choice of networks, called `name`; each part is loaded when it is called for.

    A job resolves its backend once (`registry.choose_backend`) and hands it on: a description that changes afterwards
    changes nothing of the job.

    `needs` are catalogue names, `shipped` the files of this package that decide codes, `brought` the user's own.
    """

    name: str
    locator: Callable[[str], Locate]  # of a landmark source
    judges: Callable[[str], FaceEvaluators]  # on a device
    models: Callable[[str, str], Models]  # on a device, with the encoder in a file ("": the shipped one)
    guides: Callable[[str], OptionalGuides]  # of the refinement, on a device
    direction: Callable[[str], Direction]  # by name
    measure: MeasureFactory
    generator: str  # its name in the registry
    space: str
    slots: int  # rows of its w+
    dim: int  # and numbers in each
    needs: tuple[str, ...]
    measures: tuple[str, ...]  # attributes that `measure` gives
    measuring: tuple[str, ...] = ()  # what `measure` needs beside
    shipped: tuple[Path, ...] = ()
    brought: tuple[UserPart, ...] = ()
    framing: Framing = alignment.to_frame  # where the crop lies, by the landmarks that the locator gives
    boxes: Path | None = None  # of what is edited, where no detector looks for it
    takes_boxes: bool = False  # it does not work without
    recognises: bool = True  # there is an identity network
    parses: bool = True  # there is a parser: edits may keep to a part of the face
    perceives: bool = True  # there is what perceives a difference
    encodes: bool = True  # there is an encoder; without one refinement starts from the mean
    subject: str = "face"  # what is looked for, in words
    digest: str = ""  # of the file that describes it, where there is one

    @property
    def all_needs(self) -> tuple[str, ...]:
        """What a job needs that draws faces and measures them."""
        return self.needs + self.measuring

    @property
    def watching(self) -> tuple[str, ...]:
        """What measures videos that were made by others needs: all but the generator."""
        return tuple(name for name in self.all_needs if not name.startswith("generator/"))
