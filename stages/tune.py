"""Tune: fit a copy of the encoder to the faces of the clip that it is about to invert (`--tune encoder`)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from stages import align, keyframes, parts, sealed
from stages.backend import Models
from stages.folder import JobFolder
from stages.inversion import encoder_digest
from stages.keyframes import Candidate
from stages.synthesize import drawn_by_proxy
from trainers import recipe
from vidinv.config import RunConfig, content
from vidinv.encoders import encoder_file
from vidinv.encoders.encoder_file import Facts, GeneratorFeature
from vidinv.errors import OutputUnwritable, VidinvError
from vidinv.faces import trust
from vidinv.frames import Analysis, Track
from vidinv.generators.ops import resize
from vidinv.weights import catalog, places

if TYPE_CHECKING:
    from trainers.held_out import Tuned

LOOKED_AT = 2  # times as many faces as are learned from, among which these are chosen
KEPT = 4  # tuned encoders in the cache; the one that was used longest ago goes


@dataclass(frozen=True)
class Told:
    """A training's progress as a job's phase, counted in pictures."""

    phase: Callable[[str, int, int], None]
    done: Callable[[int], None]

    def begin(self, images: int, seen: int) -> None:
        self.phase("tune", images, seen)

    def advance(self, images: int) -> None:
        self.done(images)

    def end(self) -> None: ...


@dataclass(frozen=True)
class Clip:
    """What an encoder is tuned to: the frames start <= i < stop of `span` of a source whose sha256 is `content`."""

    source: Path
    content: str
    analysis: Analysis
    span: tuple[int, int]

    def wanted(self, config: RunConfig, size: int) -> align.Wanted:
        """The faces among which the key faces are chosen, as crops of `size` pixels."""
        count = LOOKED_AT * (config.tuning.faces + config.tuning.held)
        return spread(self.analysis.tracks, self.span, count, size)


Said = dict[str, Any]


def tuned(models: Models, clip: Clip, config: RunConfig, folder: JobFolder, told: Told) -> tuple[Models, Said | None]:
    """`models` with the encoder tuned to the key faces of `clip`, and what the report says of it; None without a face.

    What it learned lies in the job folder, so that a job that goes on has the same encoder, and in the cache, so that
    another edit of the clip has. Raises OutputUnwritable where the folder's disk is full, VidinvError where the tuning
    fails.
    """
    wanted = clip.wanted(config, models.proxy.size)
    if not wanted:
        return models, None
    path, origin, work = (folder.path / name for name in ("tuned.sealed", "tuned.origin", "tuning"))
    mark = fingerprint(clip, wanted, config, corrected=_is_corrected(models, config))
    cache = places.root() / "tuned" / f"{mark}.sealed"
    kept = sealed.read(path)
    try:
        if kept is None:
            known = sealed.read(cache) if config.tuning.cache else None
            kept = known or _learned(models, clip, wanted, config, work, told)
            sealed.write(origin, b"here" if known is None else b"cache")
            sealed.write(path, kept)
        shutil.rmtree(work, ignore_errors=True)
    except (SafetensorError, OSError) as error:
        raise OutputUnwritable(f"cannot write {work}: {error}", remedy="make room, or --tune none") from error
    if config.tuning.cache:
        _remember(cache, kept)
    encoder = deepcopy(models.encoder)
    encoder.load_state_dict(load(kept))
    facts = _facts(kept) | {"from_cache": sealed.read(origin) == b"cache"}
    return replace(models, encoder=encoder.eval().requires_grad_(False)), facts


def fingerprint(clip: Clip, wanted: align.Wanted, config: RunConfig, *, corrected: bool) -> str:
    """sha256 of everything that decides a tuning: the source, its faces, how they are learned, and the networks.

    `corrected` is whether the gap of the proxy head is added to what it draws.
    """
    backend = parts.choose(config.backend)
    settings = asdict(config.tuning) | {"cache": True}
    said = {
        "source": clip.content,
        "faces": [[*key, *place.ravel().tolist()] for key, place in sorted(wanted.items())],
        "tuning": settings,
        "corrected": corrected,
        "recipe": asdict(recipe.for_clip(config.tuning, feature_branch=True)),
        "encoder": encoder_digest(config),
        "backend": [config.backend, backend.digest, *(each.sha256 for each in backend.brought)],
        "weights": [catalog.CATALOG[name].archive_sha256 for name in backend.needs],
        "shipped": [content(path) for path in backend.shipped],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _learned(models: Models, clip: Clip, wanted: align.Wanted, config: RunConfig, work: Path, told: Told) -> bytes:
    """A safetensors file of what was learned; its metadata say from which faces, and what the held-out ones said."""
    size = models.proxy.size
    crops = {key: face for _, key, face in align.faces(clip.source, wanted, size)}
    looked_at = [_looked_at(clip.analysis, key, crops[key]) for key in sorted(crops)]
    keys, held = keyframes.choose(looked_at, config.tuning.faces, config.tuning.held)
    faces = torch.cat([crops[face.key] for face in keys])
    apart = torch.cat([crops[face.key] for face in held]) if held else faces[:0]
    del crops
    made = _learn(models, faces, apart, config, work, told)
    said = {
        "key_faces": [list(face.key) for face in keys],
        "held_out": [list(face.key) for face in held],
        "best_step": made.best.step if made.best else config.tuning.steps,
        "validation": [
            {"step": check.step, "loss": round(check.loss, 4), "psnr": round(check.psnr, 2)} for check in made.curve
        ],
    }
    state = {key: value.cpu().contiguous() for key, value in made.state.items()}
    return save(state, metadata={"tuning": json.dumps(said)})


def _looked_at(analysis: Analysis, key: tuple[int, int], face: torch.Tensor) -> Candidate:
    """What the analysis says of a face, and how sharp its crop [1,3,S,S] is."""
    (track,) = (track for track in analysis.tracks if track.id == key[1])
    k = int((track.frames == key[0]).argmax())
    yaw, pitch = trust.head_turn(track, k)
    sharp = keyframes.sharpness((face[0].permute(1, 2, 0).numpy() + 1) / 2)  # CHW -> HWC
    return Candidate(*key, analysis.second(analysis.pts[key[0]]), sharp, yaw, pitch)


def _facts(kept: bytes) -> Said:
    """The facts in the header of a safetensors file: its length in 8 bytes, then JSON."""
    header = json.loads(kept[8 : 8 + int.from_bytes(kept[:8], "little")])
    return dict(json.loads(header["__metadata__"]["tuning"]))


def _remember(path: Path, kept: bytes) -> None:
    """Put what was learned into the cache, readable by its owner alone; a cache that cannot be written is none."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        if path.exists():
            path.touch()
        else:
            sealed.write(path, kept)
        path.chmod(0o600)
        others = sorted(path.parent.glob("*.sealed"), key=lambda each: each.stat().st_mtime)
        for old in others[:-KEPT]:
            old.unlink()


def _learn(
    models: Models,
    faces: torch.Tensor,
    held: torch.Tensor,
    config: RunConfig,
    work: Path,
    told: Told,
) -> Tuned:
    from trainers import tune_encoder  # the training's libraries take seconds to load, and few runs need them
    from trainers.objective import Drawing, Judges

    assert models.encoder.at is not None
    guides = parts.choose(config.backend).guides(models.device)
    drawing = Drawing(models.generator, models.proxy, models.encoder.at, faces.new_ones(1))
    judges = Judges(guides.identity, guides.perceptual, None)
    encoder = models.encoder
    branch = not isinstance(encoder, GeneratorFeature) or encoder.draws_constant
    try:
        return tune_encoder.tune(
            encoder,
            drawing,
            judges,
            faces.to(models.device),
            config.tuning,
            work,
            told,
            held=held.to(models.device),
            feature_branch=branch,
            whole=whole(models) if _is_corrected(models, config) else None,
        )
    except VidinvError as error:
        raise VidinvError(
            f"tuning the encoder to the clip failed: {error.what}", remedy="--set tuning.rate=3e-5, or --tune none"
        ) from error


def _is_corrected(models: Models, config: RunConfig) -> bool:
    """Whether the head that teaches is not what draws the output."""
    return models.proxy.is_quick and not drawn_by_proxy(models.generator, models.proxy, config.crop)


def whole(models: Models) -> Callable[..., torch.Tensor]:
    """What draws codes by the whole generator, at the side [px] of its proxy head."""
    generator, size = models.generator, models.proxy.size

    def paint(ws: torch.Tensor, feature: torch.Tensor | None = None, at: int | None = None) -> torch.Tensor:
        return resize(generator.synthesize(ws, feature=feature, at=at, size=generator.sizes[0]), size)

    return paint


def keep(models: Models, config: RunConfig, path: Path) -> None:
    """Write the encoder of `models`, one of a file or the default's, for `--encoder FILE`. Raises OutputUnwritable."""
    space = models.generator.space
    facts = encoder_file.check(Path(config.encoder), space) if config.encoder else Facts("light", space, 16)
    encoder = models.encoder
    inner = encoder.encoder if isinstance(encoder, GeneratorFeature) else encoder
    encoder_file.write(path, inner.state_dict(), facts)


def spread(tracks: tuple[Track, ...], span: tuple[int, int], count: int, size: int) -> align.Wanted:
    """About `count` of the faces on the frames start <= i < stop of `span`, evenly over each track.

    A track has a share by its length, one at least. The transforms are for crops of `size` pixels.
    """
    start, stop = span
    rows = [[k for k, frame in enumerate(track.frames) if start <= frame < stop] for track in tracks]
    total = sum(map(len, rows))
    wanted = {}
    for track, here in zip(tracks, rows, strict=True):
        for place in align.evenly(max(1, round(count * len(here) / max(total, 1))), len(here)):
            k = here[place]
            wanted[int(track.frames[k]), track.id] = align.rescale(track.to_frame[k], track.crop, size)
    return wanted
