"""The projector that autoencoders are compared with: it descends from where it starts, each picture on its own."""

from __future__ import annotations

import torch

from vidinv.bench import latent_projection
from vidinv.encoders import registry as encoders
from vidinv.generators import registry as generators
from vidinv.jobs.autoencoder import evaluation as autoencoder_evaluation
from vidinv.jobs.autoencoder.trained import Autoencoder
from vidinv.losses import lpips

PERCEPTUAL = lpips.tiny("vgg16").requires_grad_(False)
OF = Autoencoder(generators.load_generator("stylegan2-tiny"), encoders.load_encoder("ae-w-tiny"))


def test_it_comes_nearer_with_every_step_and_a_picture_knows_nothing_of_its_neighbour() -> None:
    image = OF.draw(OF.sample(3, 5))
    start = OF.generator.w_avg.expand(3, 1, -1)
    before = latent_projection.mean_lpips(OF, start.expand(-1, OF.generator.num_ws, -1), image, PERCEPTUAL)
    few, many = (latent_projection.project_faces(OF, image, start, steps, PERCEPTUAL) for steps in (3, 30))
    assert many.lpips < few.lpips < before and few.steps == 3 and few.seconds > 0
    assert (many.codes == many.codes[:, :1]).all()  # in W
    wide = latent_projection.project_faces(OF, image, start.expand(-1, OF.generator.num_ws, -1), 3, PERCEPTUAL)
    assert not torch.equal(wide.codes[:, 0], wide.codes[:, 1])  # in W+
    alone = latent_projection.project_faces(OF, image[1:2], start[1:2], 3, PERCEPTUAL)
    torch.testing.assert_close(alone.codes[0], few.codes[1], rtol=1e-2, atol=1e-2)


def test_its_codes_draw_what_an_encoders_do() -> None:
    image = OF.draw(OF.sample(4, 5))
    found = latent_projection.encode_faces(OF, image, PERCEPTUAL)
    drawn = autoencoder_evaluation.from_codes(OF, found.codes)
    assert set(drawn) == {"reconstructions", "mixtures", "interpolations"}
    assert torch.equal(drawn["reconstructions"], OF.draw(OF.encode(image)))
    assert not torch.equal(drawn["mixtures"], drawn["interpolations"])
