"""Which pictures are drawn whole, and which through the proxy head."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from vidinv.editing import feature_edit
from vidinv.encoders import registry as encoders
from vidinv.engines.runner import Runner
from vidinv.frames import Code, Colour, EditLayer, FaceBatch, FrameBatch, Work
from vidinv.generators import delta, mobile_stylegan, proxy
from vidinv.jobs.render import threads_per_lane
from vidinv.stages import synthesize


@pytest.fixture(scope="module")
def work() -> Work:
    """Three frames with one face each, encoded, and an edit that is not the inversion."""
    frames = FrameBatch((None,) * 3, Colour("bt709", False), (0, 1, 2), Fraction(1, 25), (7, 8, 9))  # type: ignore[arg-type]
    faces = FaceBatch(
        image=torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1,
        frame=torch.arange(3),
        track=torch.zeros(3, dtype=torch.int64),
        to_frame=torch.eye(2, 3).double().repeat(3, 1, 1),
    )
    codes = encoders.load_encoder("feature-style-tiny")(faces.image)
    moved = Code(codes.ws + 0.3, codes.feature, codes.at, space=codes.space)
    return Work(frames=frames, faces=faces, codes=codes, layers=(EditLayer("face", moved, (1.0,) * 3),))


def test_only_the_inversions_that_are_read_are_drawn_whole(work: Work) -> None:
    generator = mobile_stylegan.tiny()
    stage = synthesize.build_synthesize_stage(generator, proxy.load_proxy(generator, 128), 64, lambda w, n: n == 1)
    (done,) = stage(iter([work]))
    assert work.codes is not None
    (layer,) = work.layers
    assert done.inversion is not None and done.edit is not None
    whole = generator.synthesize(work.codes.ws, feature=work.codes.feature, at=work.codes.at).clamp(-1, 1)
    equal = [torch.allclose(done.inversion[n], whole[n], atol=1e-5) for n in range(3)]
    assert equal == [False, True, False]
    edits = generator.synthesize(layer.codes.ws, feature=layer.codes.feature, at=layer.codes.at).clamp(-1, 1)
    torch.testing.assert_close(done.edit, edits, atol=1e-5, rtol=0)  # every edit is drawn for itself


def test_a_work_without_an_edit_passes_as_it_came(work: Work) -> None:
    generator = mobile_stylegan.tiny()
    plain = Work(frames=work.frames, faces=work.faces)
    (done,) = synthesize.build_synthesize_stage(generator, proxy.load_proxy(generator, 128), 64, lambda w, n: True)(
        iter([plain])
    )
    assert done is plain


def test_eq_1_with_strength_zero_draws_the_inversion(work: Work) -> None:
    generator = mobile_stylegan.tiny()
    assert work.codes is not None
    same = EditLayer("face", feature_edit.edit(generator, work.codes, []), (1.0,) * 3)
    still = Work(frames=work.frames, faces=work.faces, codes=work.codes, layers=(same,))
    (done,) = synthesize.build_synthesize_stage(generator, proxy.load_proxy(generator, 128), 64, lambda w, n: True)(
        iter([still])
    )
    assert done.inversion is not None and done.edit is not None
    assert torch.equal(done.inversion, done.edit)


def test_a_face_on_which_a_layer_does_not_show_has_the_picture_below(work: Work) -> None:
    generator = mobile_stylegan.tiny()
    assert work.codes is not None
    (low,) = work.layers
    high = EditLayer(
        "mouth", Code(low.codes.ws + 0.5, low.codes.feature, low.codes.at, space=low.codes.space), (0, 1.0, 0)
    )
    stage = synthesize.build_synthesize_stage(generator, proxy.load_proxy(generator, 128), 64, lambda w, n: True)
    (done,) = stage(iter([Work(frames=work.frames, faces=work.faces, codes=work.codes, layers=(low, high))]))
    below, above = (layer.picture for layer in done.layers)
    assert below is not None and above is not None and done.edit is not None
    assert [torch.equal(below[n], above[n]) for n in range(3)] == [True, False, True]
    assert torch.equal(done.edit, above)


def test_a_generator_of_ones_own_draws_that_person_alone(work: Work) -> None:
    generator = mobile_stylegan.tiny()
    head = proxy.load_proxy(generator, 128)
    own = delta.added(generator, {"to_image.bias": torch.full((1,), 0.3)})
    assert work.faces is not None
    two = replace(work, faces=replace(work.faces, track=torch.tensor([0, 1, 0])))
    plain, tuned = (
        next(synthesize.build_synthesize_stage(generator, head, 64, lambda w, n: True, people=people)(iter([two])))
        for people in ({}, {1: (own, proxy.for_tuned_generator(head, own))})
    )
    for name in ("inversion", "edit"):
        before, after = getattr(plain, name), getattr(tuned, name)
        assert [torch.equal(before[n], after[n]) for n in range(3)] == [True, False, True], name


def test_a_tuned_person_is_not_shown_by_the_head_that_was_not_tuned() -> None:
    generator = mobile_stylegan.tiny()
    head = proxy.load_proxy(generator, 128)
    assert synthesize.is_drawn_by_proxy(generator, head, 48)
    assert not synthesize.is_drawn_by_proxy(generator, proxy.for_tuned_generator(head, generator), 48)


def test_two_faces_at_once_are_what_one_after_the_other_is(work: Work) -> None:
    generator, met = mobile_stylegan.tiny(), threading.Barrier(2, timeout=30)
    painters, counts = set[str](), set[int]()

    def drawn(threads: int) -> Work:
        def reads(_: Work, n: int) -> bool:
            painters.add(threading.current_thread().name)
            counts.add(torch.get_num_threads())
            if threads > 1 and n < 2:
                met.wait()  # both are in work
            return n == 1

        stage = synthesize.build_synthesize_stage(
            generator, proxy.load_proxy(generator, 128), 64, reads, Runner(threads=threads)
        )
        (done,) = stage(iter([work]))
        return done

    before = torch.get_num_threads()
    one, two = drawn(1), drawn(6)
    assert counts == {before, 3} and torch.get_num_threads() == before
    assert len(painters) == 3 and not any(thread.name.startswith("synthesize") for thread in threading.enumerate())
    for name in ("check", "inversion", "edit"):
        torch.testing.assert_close(getattr(two, name), getattr(one, name), atol=1e-5, rtol=0)


def test_the_error_of_one_painter_ends_both(work: Work) -> None:
    def fail(_: Work, n: int) -> bool:
        raise RuntimeError(f"face {n}")

    stage = synthesize.build_synthesize_stage(
        mobile_stylegan.tiny(), proxy.load_proxy(mobile_stylegan.tiny(), 128), 64, fail, Runner(threads=2)
    )
    with pytest.raises(RuntimeError, match="face 0"):
        list(stage(iter([work])))
    assert not any(thread.name.startswith("synthesize") for thread in threading.enumerate())


def test_a_lane_has_one_of_torchs_threads_where_there_are_no_more_than_lanes() -> None:
    assert [threads_per_lane(threads, 2) for threads in (1, 2, 8)] == [1, 1, 8]
