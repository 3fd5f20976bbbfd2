"""Store a network's weights in 8 bits per channel; for an encoder, print how far its codes move.

python scripts/assets/quantize_encoder.py fp16.safetensors vidinv/assets/feature_style_light.safetensors --faces FACES

Weights are rounded to the nearest of 255 levels per output channel (per row for the low-rank rows of w+). PSNR is
10 log10(peak^2 / mse) with peak = the largest absolute value of the original's output, SNR has its variance in
place of peak^2. Both are of w+ and F, over the default generator's own pictures and those of --faces.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from vidinv.encoders import feature_style_light
from vidinv.encoders.base import Encoder
from vidinv.generators import registry as generators
from vidinv.media.picture_file import read_rgb
from vidinv.weights import quantized_file

SIDE = 256  # pixels, of the pictures that are encoded
SMALLEST = 4096  # weights; a smaller tensor stays fp16
ROW_AXES = {"style.rows": (0, 1)}  # tensors whose scale varies along other axes than the first


def quantize_file(source: Path, target: Path) -> None:
    """Write the large tensors of `source` to `target` in 8 bits, the rest in fp16, with the same metadata."""
    state = load_file(source)
    with safe_open(str(source), framework="pt") as file:
        metadata = file.metadata()
    scales = {
        name: quantized_file.channel_scale(value, ROW_AXES.get(name, (0,)))
        for name, value in state.items()
        if value.is_floating_point() and value.ndim > 1 and value.numel() >= SMALLEST
    }
    quantized_file.write_quantized(target, state, scales, metadata)


def generated(count: int) -> Tensor:
    """Pictures [N,3,256,256] in [-1,1] of the default generator's samples."""
    generator = generators.load_generator("mobile-stylegan-ffhq-1024")
    found = []
    with torch.inference_mode():
        for ws in generator.broadcast(generator.sample(count, seed=202)).split(8):
            image = generator.synthesize(ws, size=generator.sizes[0])
            found.append(functional.interpolate(image, (SIDE, SIDE), mode="bilinear", antialias=True))
    return torch.cat(found).clamp(-1, 1)


def photographs(folder: Path) -> Tensor:
    """The aligned faces of a folder, [N,3,256,256] in [-1,1]."""
    found = []
    for path in sorted(folder.glob("*.jpg")):
        image = cv2.resize(read_rgb(path), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        found.append(torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1)
    return torch.stack(found)


@torch.inference_mode()
def codes(encoder: Encoder, images: Tensor) -> dict[str, Tensor]:
    """w+ [N,L,D] and F [N,C,h,w] of `images`."""
    found = [encoder(batch) for batch in images.split(16)]
    features = [code.feature for code in found if code.feature is not None]
    return {"w+": torch.cat([code.ws for code in found]), "F": torch.cat(features)}


def decibels(signal: Tensor, error: Tensor) -> float:
    return float(10 * torch.log10(signal / error.square().mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="safetensors in fp16 or fp32")
    parser.add_argument("target", type=Path)
    parser.add_argument("--samples", type=int, default=64, help="of the generator; 0: measure nothing")
    parser.add_argument("--faces", type=Path, help="folder of aligned faces, .jpg")
    args = parser.parse_args()
    quantize_file(args.source, args.target)
    print(f"{args.source.stat().st_size / 1e6:.2f} MB -> {args.target.stat().st_size / 1e6:.2f} MB")
    sets = {f"{args.samples} generated": lambda: generated(args.samples)} if args.samples else {}
    sets |= {"photographs": lambda: photographs(args.faces)} if args.faces else {}
    if not sets:
        return
    before, after = (
        feature_style_light.load_shipped(path, space="mobile-stylegan-ffhq-w", at=2)
        for path in (args.source, args.target)
    )
    print("| pictures | code | peak | PSNR (dB) | SNR (dB) |\n| --- | --- | --- | --- | --- |")
    for name, make in sets.items():
        images = make()
        moved = codes(after, images)
        for code, kept in codes(before, images).items():
            peak, error = kept.abs().max(), moved[code] - kept
            psnr, snr = decibels(peak.square(), error), decibels(kept.var(), error)
            print(f"| {name} | {code} | {float(peak):.2f} | {psnr:.1f} | {snr:.1f} |")


if __name__ == "__main__":
    main()
