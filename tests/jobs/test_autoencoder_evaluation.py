"""What is measured of an autoencoder: a perfect one, and one that knows a single picture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from vidinv.encoders import registry as encoders
from vidinv.generators import registry as generators
from vidinv.jobs.autoencoder import evaluation as autoencoder_evaluation
from vidinv.jobs.autoencoder.trained import Autoencoder
from vidinv.losses import lpips
from vidinv.trainers.data.toy_images import Blobs


class Coarse(nn.Module):
    """A picture at 2x2 pixels stands for its features."""

    num_features = 12

    def forward(self, image: Tensor) -> Tensor:
        return adaptive_avg_pool2d(image, 2).flatten(1)


PERCEPTUAL = lpips.tiny("vgg16")
JUDGES = autoencoder_evaluation.AutoencoderEvaluators(PERCEPTUAL, Coarse())


class Perfect(Autoencoder):
    """Codes are the numbers of pictures that it has by heart."""

    known: Tensor

    def encode(self, image: Tensor) -> Tensor:
        apart = (image[:, None] - self.known[None]).square().mean((2, 3, 4))
        return apart.argmin(1).float()[:, None, None].expand(-1, self.generator.num_ws, self.generator.w_dim)

    def draw(self, ws: Tensor) -> Tensor:
        return self.known[ws.amax((1, 2)).round().long()]

    def sample(self, count: int, seed: int) -> Tensor:
        picked = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).float()
        return picked[:, None, None].expand(-1, self.generator.num_ws, self.generator.w_dim)


def test_a_perfect_autoencoder_is_at_no_distance_and_an_untrained_one_is() -> None:
    generator = generators.load_generator("stylegan2-tiny")
    real = Blobs(32).draw(24, 0)
    perfect = Perfect(generator, encoders.load_encoder("ae-w-tiny"))
    object.__setattr__(perfect, "known", real)
    found = autoencoder_evaluation.evaluate(perfect, real, JUDGES)
    assert found["mse"] == 0 and found["lpips"] == pytest.approx(0, abs=1e-6) and found["n"] == 24
    for name in ("samples", "reconstructions", "sample_reconstructions"):
        assert found[f"frechet_{name}"] == pytest.approx(0, abs=1e-4)
    plain = Autoencoder(generator, encoders.load_encoder("ae-w-tiny"))
    worse = autoencoder_evaluation.evaluate(plain, Blobs(64).draw(24, 0), JUDGES)
    assert worse["mse"] > 0.1 and worse["frechet_samples"] > 10 * abs(found["frechet_samples"]) + 1e-4
    assert worse["ppl_full"] > 0 and worse["ppl_end"] > 0 and worse["lpips_diversity"] > 0


@pytest.mark.parametrize("name", ["automodulator-tiny"])
def test_an_automodulator_is_measured_on_its_sphere(name: str) -> None:
    of = Autoencoder(generators.load_generator(name), encoders.load_encoder(name))
    seen: list[Tensor] = []
    drawn = of.generator.synthesize
    of.generator.synthesize = lambda ws, **more: (seen.append(ws), drawn(ws, **more))[1]
    assert autoencoder_evaluation.smoothness(of, PERCEPTUAL, 20, full=True, seed=0) > 0
    torch.testing.assert_close(torch.cat(seen).norm(dim=2), torch.ones(40, of.generator.num_ws))
