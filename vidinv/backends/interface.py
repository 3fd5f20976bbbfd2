"""Define a backend: the networks of a job by role, each loaded on demand.

`vidinv/backends/registry.py` chooses one by name. A neutral substitute replaces a missing part (identity network,
parser, measures, proxy head, encoder), and `recognises`, `parses`, `measures`, `perceives` and `encodes` say which
parts the backend has.
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

LocatedFaces = FrameFaces  # of one frame, in frame pixels
# RGB uint8 [H,W,3], clockwise rotation for display, boxes [N,4] already known (None: detect) -> faces
Locate = Callable[[Array, int, "Array | None"], LocatedFaces]
Embed = Callable[[torch.Tensor], Array]  # [N,3,S,S] in [-1,1] -> [N,D], L2-normalised
Parse = Callable[[torch.Tensor, int], Array]  # images, size -> labels uint8 [N,size,size], of parser.CLASSES
Occlude = Callable[[torch.Tensor], Array]  # [N,3,S,S] in [-1,1] -> alpha [N,s,s] in [0,1] of occluders


@dataclass(frozen=True)
class FaceEvaluators:
    """The networks that evaluate any face picture, source or generated; both take pictures on the CPU."""

    parse: Parse
    identity: dict[str, Embed]


@dataclass(frozen=True)
class Models:
    """The networks of the render on `device`; `parse`, `occlusion` and `identity` take pictures on the CPU.

    `backend` is the backend that loaded them. `people` maps tracks to their tuned generator and its proxy; a tuned
    generator differs from `generator` only in the layers after F.
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
        """The same models with the generator that was tuned to `person`, if there is one."""
        if person not in self.people:
            return self
        generator, proxy = self.people[person]
        return replace(self, generator=generator, proxy=proxy, people={})


class MeasureFactory(Protocol):
    """Loads the measure of the attributes `names` (None: all) on the CPU."""

    def __call__(self, names: Collection[str] | None = None) -> Measure: ...


@dataclass(frozen=True)
class UserPart:
    """A part that the user supplies: its name, the sha256 of its file, its licence and its origin."""

    name: str
    sha256: str
    licence: str
    origin: str


@dataclass(frozen=True)
class Backend:
    """A named set of networks; each part is loaded on demand.

    A job resolves its backend once (`registry.choose_backend`), so a description that changes afterwards does not
    affect it. `needs` are catalogue names, `shipped` the files of this package that the codes depend on, `brought` the
    user's own parts.
    """

    name: str
    locator: Callable[[str], Locate]  # of a landmark source
    evaluators: Callable[[str], FaceEvaluators]  # on a device
    models: Callable[[str, str], Models]  # on a device, with the encoder in a file ("": the shipped one)
    guides: Callable[[str], OptionalGuides]  # loss networks of the refinement, on a device
    direction: Callable[[str], Direction]  # by name
    measure: MeasureFactory
    generator: str  # its name in the registry
    space: str
    slots: int  # rows of w+
    dim: int  # numbers per row
    needs: tuple[str, ...]
    measures: tuple[str, ...]  # attributes that `measure` gives
    measuring: tuple[str, ...] = ()  # catalogue names that `measure` also needs
    shipped: tuple[Path, ...] = ()
    brought: tuple[UserPart, ...] = ()
    framing: Framing = alignment.to_frame  # crop transform from the locator's landmarks
    boxes: Path | None = None  # file of boxes of the subject, instead of a detector
    takes_boxes: bool = False  # it needs a file of boxes
    recognises: bool = True  # it has an identity network
    parses: bool = True  # it has a face parser, so edits can be limited to a region
    perceives: bool = True  # it has a perceptual loss
    encodes: bool = True  # it has an encoder; without one refinement starts from the mean
    subject: str = "face"  # the word for the edited object in messages
    digest: str = ""  # digest of its description; empty for a built-in backend

    @property
    def all_needs(self) -> tuple[str, ...]:
        """Catalogue names that a job needs to draw and measure faces."""
        return self.needs + self.measuring

    @property
    def watching(self) -> tuple[str, ...]:
        """Catalogue names for measuring videos made by other tools: all but the generator."""
        return tuple(name for name in self.all_needs if not name.startswith("generator/"))
