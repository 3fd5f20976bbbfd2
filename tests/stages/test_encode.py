"""Which frames are refined, and what the frames between them take."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from vidinv import extras
from vidinv.config import Effort, RefineConfig
from vidinv.editing.refine import Part, Trace
from vidinv.encoders import class_conditional, encoder_file
from vidinv.encoders import registry as encoders
from vidinv.encoders.base import Encoder
from vidinv.engines import runner
from vidinv.engines.runner import Runner
from vidinv.errors import UsageError
from vidinv.frames import Code, Colour, FaceBatch, FrameBatch, Work
from vidinv.generators import registry as generators
from vidinv.stages import encode


@pytest.mark.parametrize(
    ("rate", "gap", "expected"),
    [(30, 0.1, [2, 5]), (25, 0.1, [1, 3, 5]), (15, 0.1, [0, 1, 2, 3, 4, 5]), (25, 0.0, [0, 1, 2, 3, 4, 5])],
)
def test_keys_lie_no_further_apart_than_the_gap(rate: int, gap: float, expected: list[int]) -> None:
    assert encode.keys([k / rate for k in range(6)], gap, since=-1 / rate) == expected


def test_keys_follow_time_and_not_the_frame_number() -> None:
    assert encode.keys([0.0, 0.01, 0.02, 0.3, 0.31, 0.32], 0.1, since=-0.01) == [2, 3, 5]
    assert encode.keys([7.0], 0.1, since=6.9) == [0]


def test_a_frame_held_long_before_the_batch_makes_its_first_frame_a_key() -> None:
    assert encode.keys([0.0, 0.03, 0.06], 0.1, since=-0.03) == [2]
    assert encode.keys([0.0, 0.03, 0.06], 0.1, since=-0.5) == [0, 2]
    assert encode.keys([0.0, 0.03, 0.06], 0.1, since=None) == [0, 2]


class Counting:
    """A refinement that only notes its calls and hands on a trace filled with their number."""

    def __init__(self) -> None:
        self.calls: list[tuple[bool, Effort]] = []

    def __call__(
        self, code: Code, image: torch.Tensor, before: Trace | None, effort: Effort, person: int | None = None
    ) -> tuple[Code, Trace]:
        assert code.feature is not None
        self.calls.append((before is None, effort))
        level = float(len(self.calls))
        latent, feature = (
            Part(*(torch.full_like(value[0], level) for _ in range(3)), torch.tensor(level))
            for value in (code.ws, code.feature)
        )
        moved = Code(code.ws + level, code.feature + level, code.at, space=code.space)
        return moved, Trace(latent, feature, before.person if before else torch.full_like(code.ws[0], level))


def works(count: int, size: int = 6, *, cut_at: int | None = None, away: frozenset[int] = frozenset()) -> list[Work]:
    """`count` Works of `size` frames at 30 frames/s, one face on each but on the frames `away`."""
    made = []
    for k in range(count):
        index = tuple(range(k * size, (k + 1) * size))
        frames = FrameBatch((None,) * size, Colour("bt709", False), index, Fraction(1, 30), index)  # type: ignore[arg-type]
        here = [position for position, number in enumerate(index) if number not in away]
        faces = FaceBatch(
            image=torch.zeros(len(here), 3, 64, 64),
            frame=torch.tensor(here),
            track=torch.zeros(len(here), dtype=torch.int64),
            to_frame=torch.eye(2, 3).double().repeat(len(here), 1, 1),
        )
        made.append(Work(frames=frames, faces=faces, new_shot=k in (0, cut_at)))
    return made


STEPS = RefineConfig(first=Effort(9, 8), following=Effort(2, 1), gap=0.1)


def test_the_first_frame_gets_the_long_refinement_and_keys_the_short_one(tmp_path: Path) -> None:
    refine, encoder = Counting(), encoders.load_encoder("feature-style-tiny")
    done = list(encode.build_encode_stage(encoder, refine, STEPS, encode.Traces(tmp_path), "cpu")(iter(works(2))))
    first, short = Effort(9, 8), Effort(2, 1)
    assert refine.calls == [(True, first), (False, short), (False, short), (False, short), (False, short)]
    plain = encoder(torch.zeros(1, 3, 64, 64))
    added = torch.cat([work.codes.ws[:, 0, 0] - plain.ws[0, 0, 0] for work in done if work.codes is not None])
    thirds = [1, 1.5, 2, 7 / 3, 8 / 3, 3, 10 / 3, 11 / 3, 4, 13 / 3, 14 / 3, 5]  # keys at 0, 2, 5, 8, 11
    torch.testing.assert_close(added, torch.tensor(thirds), atol=1e-5, rtol=0)


def test_nothing_crosses_a_cut(tmp_path: Path) -> None:
    refine, encoder = Counting(), encoders.load_encoder("feature-style-tiny")
    list(encode.build_encode_stage(encoder, refine, STEPS, encode.Traces(tmp_path), "cpu")(iter(works(2, cut_at=1))))
    assert [anew for anew, _ in refine.calls] == [True, False, False, True, False, False]


@pytest.mark.parametrize("away", [{2, 3}, {4, 5}, {5, 6, 7}, {6}])
def test_a_face_that_was_away_begins_anew(tmp_path: Path, away: set[int]) -> None:
    refine, encoder = Counting(), encoders.load_encoder("feature-style-tiny")
    done = list(
        encode.build_encode_stage(encoder, refine, STEPS, encode.Traces(tmp_path), "cpu")(
            iter(works(2, away=frozenset(away)))
        )
    )
    assert [anew for anew, _ in refine.calls].count(True) == 2
    assert sum(len(work.codes) for work in done if work.codes is not None) == 12 - len(away)


def test_only_the_last_states_stay_on_the_disk(tmp_path: Path) -> None:
    traces = encode.Traces(tmp_path)
    for frame in range(0, 2000, 100):
        traces.save(frame)
    kept = [frame for frame in range(0, 2000, 100) if traces.has(frame)]
    assert kept == list(range(1200, 2000, 100)) and len(list(tmp_path.iterdir())) == encode.KEPT


def test_a_restored_state_gives_the_same_codes(tmp_path: Path) -> None:
    encoder = encoders.load_encoder("feature-style-tiny")
    whole = list(encode.build_encode_stage(encoder, Counting(), STEPS, encode.Traces(tmp_path), "cpu")(iter(works(2))))
    traces = encode.Traces(tmp_path)
    first = list(encode.build_encode_stage(encoder, refine := Counting(), STEPS, traces, "cpu")(iter(works(1))))
    traces.save(6)
    again = encode.Traces(tmp_path)
    again.restore(6, "cpu")
    restored = again.last[0]
    assert restored.seconds == traces.last[0].seconds == pytest.approx(5 / 30)
    assert restored.trace.person.unique().tolist() == [1.0]  # the track's first frame's
    again_refine = Counting()
    again_refine.calls = list(refine.calls)
    second = list(encode.build_encode_stage(encoder, again_refine, STEPS, again, "cpu")(iter(works(2)[1:])))
    for expected, got in zip(whole, first + second, strict=True):
        assert expected.codes is not None and got.codes is not None
        torch.testing.assert_close(got.codes.ws, expected.codes.ws)
        torch.testing.assert_close(got.codes.feature, expected.codes.feature)


OTHERS = [name for name, package in runner.PACKAGES.items() if extras.is_installed(package)]
# What an engine's exporter cannot take: spectral norms, and a pooling to a side that does not divide.
NOT_EXPORTED = {
    ("onnx", "automodulator-tiny"),
    ("openvino", "automodulator-tiny"),
    ("onnx", "feature-style-published-tiny"),
}
TINY = [name for name in encoders.ENCODERS if name.endswith("-tiny")]
GENERATORS = [name for name in generators.GENERATORS if name.endswith("-tiny")]


def of_a_job(name: str) -> Encoder:
    """The registered encoder as a job has it: with a feature, and with a class where its generator has some."""
    encoder = encoders.load_encoder(name)
    generator = next(found for found in map(generators.load_generator, GENERATORS) if found.space == encoder.space)
    label = 0 if generator.c_dim else None
    return class_conditional.bind_class(encoder_file.with_feature(encoder, generator), generator, label)


@pytest.mark.parametrize("name", [TINY[0], *(pytest.param(name, marks=pytest.mark.slow) for name in TINY[1:])])
@pytest.mark.parametrize("engine", OTHERS)
def test_every_encoder_goes_through_the_engine_or_is_refused(engine: str, name: str, tmp_path: Path) -> None:
    encoder, run = of_a_job(name), Runner(engine, "float32", 1)
    (work,) = works(1, size=2)
    assert work.faces is not None
    work.faces.image.copy_(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1)
    stage = encode.build_encode_stage(encoder, None, STEPS, encode.Traces(tmp_path), "cpu", run)
    if (engine, name) in NOT_EXPORTED:
        with pytest.raises(UsageError, match=f"--engine {engine} cannot run EncodingModule"):
            list(stage(iter([work])))
        return
    (done,) = stage(iter([work]))
    with torch.no_grad():
        wanted = encoder(work.faces.image)
    assert len(run.prepared) == 1, "the engine ran it"
    assert done.codes is not None and (done.codes.space, done.codes.at) == (encoder.space, encoder.at)
    for ours, theirs in ((done.codes.ws, wanted.ws), (done.codes.feature, wanted.feature)):
        assert ours is not None and theirs is not None and runner.psnr_db(ours, theirs) > runner.TOLERANCE_DB
