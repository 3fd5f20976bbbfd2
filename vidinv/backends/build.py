"""Build a backend from its description: check every part against the generator; load weights on demand."""

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
from vidinv.encoders.feature_style_light import SHIPPED
from vidinv.faces import framing
from vidinv.faces.attribute_meter import UNITS
from vidinv.generators import generator_file
from vidinv.generators import proxy as proxies
from vidinv.generators import registry as generators
from vidinv.generators.base import Generator
from vidinv.losses.lpips import LPIPS
from vidinv.weights import imported

PROXY = 256  # pixels, side of a proxy head's output
FETCHED = {"mobile-stylegan-ffhq-1024": "generator/mobile-stylegan-ffhq"}  # registered generator -> catalogue


def build_backend(name: str, description: Description) -> Backend:
    """The backend of a description, called `name`.

    Raises UsageError for a missing file and for an encoder or direction of another latent space, WeightsUnavailable for
    a damaged generator. No weights are loaded.
    """
    latent = _space(description.generator)
    space, brought = latent.name, validate.check_user_parts(name, description, latent)
    digest = fingerprint.digest({"description": asdict(description), "brought": [part.sha256 for part in brought]})

    def models(device: str, encoder: str) -> Models:
        generator, seen = generators.load_generator(description.generator, device), evaluators(device)
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

    def evaluators(device: str) -> FaceEvaluators:
        return FaceEvaluators(_parse(description, device), _identity(description, device))

    made = Backend(
        name=name,
        locator=lambda source: _locator(description, source),
        evaluators=evaluators,
        models=models,
        guides=lambda device: _guides(description, device),
        direction=lambda wanted: _direction(wanted, description, space),
        measure=face_models.load_measure if description.measures == "faces" else _no_measure,
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
    network = generators.load_generator(generator)  # a tiny generator; UsageError for an unknown name
    return Space(network.space, network.num_ws, network.w_dim, generator)


def _direction(wanted: str, description: Description, space: str) -> Direction:
    """Load a direction: from the description, of the generator's space, or unlabelled (`sefa.N`, `ganspace.N`)."""
    described = {
        each.name: each for each in (validate.load_listed_direction(entry, space) for entry in description.directions)
    }
    if wanted in described:
        return described[wanted]
    available = directions.names(space)
    if wanted not in available and unsupervised.NAME.fullmatch(wanted):
        return _component(wanted, description.generator)
    if wanted not in available:
        raise directions.unknown_direction_error(wanted, [*described, *available, *unsupervised.EXAMPLES], space)
    return directions.load_direction(wanted, space)


@functools.cache
def _component(name: str, generator: str) -> Direction:
    return unsupervised.component(name, generators.load_generator(generator))


def _encoder(description: Description, generator: Generator, own: str, backend: str, latent: Space) -> Encoder:
    """Load the described encoder, or the one in the file `own`, on the generator's device.

    Raises UsageError for an encoder that does not fit the generator, or a class that the generator does not have.
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
        return face_models.build_locator(source)
    if description.detection == "faces":
        return non_face.build_face_box_locator(source)
    return non_face.build_box_locator(source, is_square=description.alignment == "center")


def _parse(description: Description, device: str) -> Parse:
    if description.mask == "face":
        return face_models.load_parser(device, description.parser)
    return non_face.build_shape_parser(description.mask)


def _occlusion(description: Description, device: str) -> Occlude:
    return face_models.load_occlusion(device) if description.mask == "face" else non_face.no_occlusion


def _identity(description: Description, device: str) -> dict[str, Embed]:
    if description.identity == "none":
        return {}
    if description.identity == "faces":
        return face_models.load_recognisers(device)
    return face_models.load_recognisers(device, description.identity)


def _guides(description: Description, device: str) -> OptionalGuides:
    if description.guides == "faces":
        return refine.load_guides(device)
    return OptionalGuides(None, LPIPS.load("alexnet").to(device) if description.guides == "perceptual" else None)


def _no_measure(names: Collection[str] | None = None) -> Measure:
    """A measure without attributes."""
    return lambda images: {}


def _needs(description: Description) -> tuple[str, ...]:
    """Catalogue names of everything that a run fetches, without the attribute networks."""
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
    """Files of this package that the codes depend on."""
    return (SHIPPED,) if description.encoder == "feature-style-light" else ()


@torch.no_grad()
def find_mismatches(models: Models) -> list[str]:
    """Encode and draw a grey picture, and return a line for everything that does not fit together."""
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
        found.append("the reconstruction of a grey picture is not finite")
    return found
