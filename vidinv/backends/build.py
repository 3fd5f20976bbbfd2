"""From a description to a backend: every part by its name, checked against the generator, loaded when called for."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import torch

from vidinv import fingerprint
from vidinv.backends import face_models, non_face, validate
from vidinv.backends import spec as backend_spec
from vidinv.backends.interface import Backend, Embed, FaceEvaluators, Locate, Models, Occlude, Parse
from vidinv.backends.spec import Description
from vidinv.editing import directions, refine, unsupervised
from vidinv.editing.direction_training import Measure
from vidinv.editing.directions import Direction
from vidinv.editing.refine import OptionalGuides
from vidinv.editing.spaces import SPACES, Space
from vidinv.encoders import class_conditional, encoder_file, mean_latent
from vidinv.encoders import registry as encoders
from vidinv.encoders.base import Encoder
from vidinv.faces import framing
from vidinv.faces.attribute_meter import UNITS
from vidinv.generators import generator_file
from vidinv.generators import proxy as proxies
from vidinv.generators import registry as generators
from vidinv.generators.base import Generator
from vidinv.losses.lpips import LPIPS
from vidinv.weights import imported

PROXY = 256  # pixels, side of what is drawn quickly
FETCHED = {"mobile-stylegan-ffhq-1024": "generator/mobile-stylegan-ffhq"}  # registered generator -> catalogue


def build_backend(name: str, description: Description) -> Backend:
    """The backend of a description, called `name`.

    Raises UsageError naming what does not fit the generator: an encoder or a direction of another space, a file that
    is not there; WeightsUnavailable for a damaged generator. No weights are loaded.
    """
    latent = _space(description.generator)
    space, brought = latent.name, validate.brought(name, description, latent)
    digest = fingerprint.digest({"description": asdict(description), "brought": [part.sha256 for part in brought]})

    def models(device: str, encoder: str) -> Models:
        generator, seen = generators.load_generator(description.generator, device), judges(device)
        return Models(
            generator=generator,
            proxy=_proxy(description, generator),
            encoder=_encoder(description, generator, encoder, name, latent),
            parse=seen.parse,
            occlusion=_occlusion(description, device),
            identity=seen.identity,
            device=device,
            backend=made,
        )

    def judges(device: str) -> FaceEvaluators:
        return FaceEvaluators(_parse(description, device), _identity(description, device))

    made = Backend(
        name=name,
        locator=lambda source: _locator(description, source),
        judges=judges,
        models=models,
        guides=lambda device: _guides(description, device),
        direction=lambda wanted: _direction(wanted, description, space),
        measure=face_models.measure if description.measures == "faces" else _nothing,
        measures=tuple(UNITS) if description.measures == "faces" else (),
        generator=description.generator,
        space=space,
        slots=latent.rows,
        dim=latent.dim,
        needs=_needs(description),
        measuring=face_models.MEASURING if description.measures == "faces" else (),
        shipped=_shipped(description),
        brought=brought,
        framing=framing.framing_by_name(description.alignment, description.margin),
        boxes=Path(description.boxes) if description.boxes else None,
        takes_boxes=description.detection == "boxes",
        recognises=description.identity != "none",
        parses=description.mask == "face",
        perceives=description.guides != "pixels",
        encodes=description.encoder != "none",
        subject="face" if description.detection == "faces" else "box",
        digest=digest,
    )
    return made


def _space(generator: str) -> Space:
    """The latent space of a generator, without its weights. Raises UsageError, WeightsUnavailable."""
    known = next((space for space in SPACES.values() if space.generator == generator), None)
    if known is not None and generator in generators.GENERATORS:
        return known
    if generator in generator_file.names():
        facts = imported.facts(generator_file.KIND, generator)
        return Space(facts.space, int(facts.sizes["num_ws"]), int(facts.sizes["w_dim"]), generator)
    network = generators.load_generator(generator)  # a tiny one; UsageError for one that is nowhere
    return Space(network.space, network.num_ws, network.w_dim, generator)


def _direction(wanted: str, description: Description, space: str) -> Direction:
    """A direction by name: listed, at hand, or the N-th component that nobody labelled (`sefa.N`, `ganspace.N`)."""
    listed = {each.name: each for each in (validate.listed(entry, space) for entry in description.directions)}
    if wanted in listed:
        return listed[wanted]
    at_hand = directions.names(space)
    if wanted not in at_hand and unsupervised.NAME.fullmatch(wanted):
        return _component(wanted, description.generator)
    if wanted not in at_hand:
        raise directions.unknown_direction_error(wanted, [*listed, *at_hand, *unsupervised.EXAMPLES], space)
    return directions.load_direction(wanted, space)


@functools.cache
def _component(name: str, generator: str) -> Direction:
    return unsupervised.component(name, generators.load_generator(generator))


def _encoder(description: Description, generator: Generator, own: str, backend: str, latent: Space) -> Encoder:
    """The encoder that is described, or that in the file `own`, on the generator's device.

    Raises UsageError where it does not fit the generator, or where the class is not one of the generator's.
    """
    named, label = description.encoder, None if description.label < 0 else description.label
    if own or backend_spec.is_file(named):
        return class_conditional.bind_class(encoder_file.read_encoder(Path(own or named), generator), generator, label)
    if named == "none":
        return mean_latent.for_generator(generator, label)
    found = encoders.load_encoder(named, generator.w_avg.device.type)
    validate.check_space(backend, named, found.space, latent)
    return class_conditional.bind_class(encoder_file.with_feature(found, generator), generator, label)


def _proxy(description: Description, generator: Generator) -> proxies.ImageDecoder:
    if description.proxy:
        return proxies.read_proxy(Path(description.proxy), generator)
    return proxies.image_decoder(generator, PROXY)


def _locator(description: Description, source: str) -> Locate:
    if description.alignment == "ffhq":
        return face_models.locator(source)
    if description.detection == "faces":
        return non_face.faces(source)
    return non_face.given(source, is_square=description.alignment == "center")


def _parse(description: Description, device: str) -> Parse:
    if description.mask == "face":
        return face_models.parser(device, description.parser)
    return non_face.shape(description.mask)


def _occlusion(description: Description, device: str) -> Occlude:
    return face_models.occlusion(device) if description.mask == "face" else non_face.nothing_before


def _identity(description: Description, device: str) -> dict[str, Embed]:
    if description.identity == "none":
        return {}
    if description.identity == "faces":
        return face_models.recognisers(device)
    return face_models.recognisers(device, description.identity)


def _guides(description: Description, device: str) -> OptionalGuides:
    if description.guides == "faces":
        return refine.load_guides(device)
    return OptionalGuides(None, LPIPS.load("alexnet").to(device) if description.guides == "perceptual" else None)


def _nothing(names: Collection[str] | None = None) -> Measure:
    """What measures nothing."""
    return lambda images: {}


def _needs(description: Description) -> tuple[str, ...]:
    """Catalogue names of all that a run fetches but for the measures."""
    fetched = [FETCHED[description.generator]] if description.generator in FETCHED else []
    if description.identity != "none":
        fetched += face_models.RECOGNISING if description.identity == "faces" else face_models.RECOGNISING[1:]
    if description.alignment == "ffhq":
        fetched += [name for name in face_models.RECOGNISING[:1] if name not in fetched]  # the tracker's
        fetched += face_models.FINDING
    elif description.detection == "faces":
        fetched += face_models.FINDING[:1]
    if description.mask == "face" and description.parser == "bisenet":
        fetched += face_models.PARSING
    if description.guides != "pixels":
        fetched += face_models.PERCEIVING
    return tuple(fetched)


def _shipped(description: Description) -> tuple[Path, ...]:
    """The files of this package that decide codes."""
    return (encoders.SHIPPED,) if description.encoder == "feature-style-light" else ()


@torch.no_grad()
def misfits(models: Models) -> list[str]:
    """What does not fit when the parts are put together: the encoder's codes of a grey picture, and the drawing."""
    generator, encoder, found = models.generator, models.encoder, []
    code = encoder(torch.zeros(1, 3, encoder.input_size, encoder.input_size, device=models.device))
    if code.ws.shape[1:] != (generator.num_ws, generator.w_dim):
        found.append(f"the encoder gives w+ {tuple(code.ws.shape[1:])}, not {(generator.num_ws, generator.w_dim)}")
    if code.feature is not None and code.at is not None:
        spec = generator.layers[code.at] if code.at < len(generator.layers) else None
        wanted = None if spec is None else (spec.channels, spec.resolution, spec.resolution)
        if tuple(code.feature.shape[1:]) != wanted:
            found.append(f"the encoder's F is {tuple(code.feature.shape[1:])}, layer {code.at} is {wanted}")
    if not found and not generator.picture(code, generator.sizes[0]).isfinite().all():
        found.append("the picture of the encoder's code of a grey picture is not finite")
    return found
