"""Train the networks that vidinv uses: one folder per method, over shared parts.

Methods, each with `train`, mostly also `config` (its recipe), `losses` and `evaluate`:

- `feature_style`: the Feature-Style encoder, and fitting it to one clip.
- `gan_encoder`: encoders that mirror any generator, pre-trained on samples or fine-tuned to photos.
- `ae_stylegan`: a StyleGAN2 together with its encoder and discriminators.
- `automodulator`: a progressively grown encoder and decoder without a discriminator.
- `generator_tuning`: fine-tuning of a generator to given pictures ("near-perfect" inversion).
- `proxy_head`: small heads that render a generator's pictures at a lower cost.
- `occlusion`: the network that segments objects in front of a face.

Shared parts:

- `core`: the training loop, processes, checkpoints, logs and early stopping.
- `data`: datasets and samplers; each sample is a function of the training step and the row.
- `augment`: degradations, occluders and adaptive augmentation.
- `optim`: the Ranger and preconditioned Adam optimisers.
"""
