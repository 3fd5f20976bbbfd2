"""`vidinv autoencoder`: apply a trained AE-StyleGAN or automodulator to pictures and write a picture grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv.cli import options
from vidinv.errors import UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from torch import Tensor

    from vidinv.jobs.autoencoder.trained import Autoencoder

app = typer.Typer(help="Reconstruct, sample, mix and edit pictures with a trained autoencoder.", no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of vidinv train ae-stylegan or automodulator.")]
Pictures = Annotated[list[Path], typer.Argument(metavar="PICTURE", help="Aligned, square pictures; files or folders.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The grid, a .png.")]
Scale = Annotated[
    str, typer.Option(metavar="coarse|medium|fine|all|FIRST-LAST", help="Layers, by their side in pixels.")
]
Seed = Annotated[int, typer.Option(help="Random seed.")]


@app.command("reconstruct")
def reconstruct(folder: Folder, pictures: Pictures, output: Output, overwrite: options.Overwrite = False) -> None:
    """Reconstruct pictures: encode and decode them.

    Example: vidinv autoencoder reconstruct runs/ae faces/ -o again.png
    """
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    of = _load(folder, output, overwrite)
    _write(
        output,
        trained_autoencoder.reconstructions(of, trained_autoencoder.read_pictures(pictures, of.generator.resolution)),
        overwrite,
    )


@app.command("sample")
def sample(
    folder: Folder,
    output: Output,
    count: Annotated[int, typer.Option(help="Number of samples.", min=1, max=1024)] = 16,
    seed: Seed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw samples from the prior.

    Example: vidinv autoencoder sample runs/ae -o samples.png --count 36
    """
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    _write(output, trained_autoencoder.samples(_load(folder, output, overwrite), count, seed), overwrite)


@app.command("mix")
def mix(
    folder: Folder,
    pictures: Pictures,
    output: Output,
    other: Annotated[
        list[Path], typer.Option("--with", metavar="PICTURE", help="Picture that gives the scale's style; repeatable.")
    ],
    scale: Scale = "coarse",
    overwrite: options.Overwrite = False,
) -> None:
    """Mix styles: replace a scale of each picture by that of each --with picture.

    Example: vidinv autoencoder mix runs/ae a.png b.png --with c.png --scale coarse -o mixed.png
    """
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    of = _load(folder, output, overwrite)
    size = of.generator.resolution
    made = trained_autoencoder.mixtures(
        of, trained_autoencoder.read_pictures(pictures, size), trained_autoencoder.read_pictures(other, size), scale
    )
    _write(output, made, overwrite)


@app.command("vary")
def vary(
    folder: Folder,
    pictures: Pictures,
    output: Output,
    scale: Scale = "coarse",
    count: Annotated[int, typer.Option(help="Samples per picture.", min=1, max=64)] = 6,
    seed: Seed = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Sample conditionally: keep a scale of each picture and draw the other scales at random.

    Example: vidinv autoencoder vary runs/ae a.png --scale coarse -o variations.png
    """
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    of = _load(folder, output, overwrite)
    image = trained_autoencoder.read_pictures(pictures, of.generator.resolution)
    _write(output, trained_autoencoder.variations(of, image, scale, count, seed), overwrite)


@app.command("edit")
def edit(
    folder: Folder,
    pictures: Pictures,
    output: Output,
    having: Annotated[Path, typer.Option("--having", metavar="FOLDER", help="4 to 64 pictures with the attribute.")],
    lacking: Annotated[Path, typer.Option("--lacking", metavar="FOLDER", help="4 to 64 pictures without it.")],
    scale: Scale = "all",
    strength: Annotated[list[float] | None, typer.Option(help="Repeatable; default: 0.5, 1 and 1.5.")] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Edit an attribute defined by example pictures, on one scale only.

    The paper's scales: smile 16-64, gender 8-64, glasses 4-8.

    Example: vidinv autoencoder edit runs/auto a.png --having smiling/ --lacking serious/ --scale 16-64 -o smile.png
    """
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    of = _load(folder, output, overwrite)
    size = of.generator.resolution
    image, yes, no = (trained_autoencoder.read_pictures(paths, size) for paths in (pictures, [having], [lacking]))
    _write(output, trained_autoencoder.edits(of, image, yes, no, scale, strength or [0.5, 1.0, 1.5]), overwrite)


@app.command("interpolate")
def interpolate(
    folder: Folder,
    pictures: Pictures,
    output: Output,
    steps: Annotated[int, typer.Option(help="Pictures along each side.", min=2, max=32)] = 6,
    overwrite: options.Overwrite = False,
) -> None:
    """Interpolate between four pictures.

    Example: vidinv autoencoder interpolate runs/ae a.png b.png c.png d.png -o four.png
    """
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    of = _load(folder, output, overwrite)
    corners = trained_autoencoder.read_pictures(pictures, of.generator.resolution)
    if len(corners) != 4:
        raise UsageError(f"interpolate takes four pictures as corners, got {len(corners)}", remedy="give four")
    _write(output, trained_autoencoder.interpolations(of, corners, steps), overwrite)


@app.command("transfer")
def transfer(
    folder: Folder,
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="The picture that gives the content.")],
    style: Annotated[Path, typer.Argument(metavar="STYLE", help="The picture that gives the style.")],
    output: Output,
    scale: Scale = "coarse",
    overwrite: options.Overwrite = False,
) -> None:
    """Transfer a style: keep one picture up to a scale, and take the finer scales from the other.

    Example: vidinv autoencoder transfer runs/ae a.png b.png --scale coarse -o styled.png
    """
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    of = _load(folder, output, overwrite)
    image, other = (trained_autoencoder.read_pictures([path], of.generator.resolution) for path in (content, style))
    _write(output, trained_autoencoder.transfer(of, image, other, scale), overwrite)


def _load(folder: Path, output: Path, overwrite: bool) -> Autoencoder:
    """Check that the output can be written, and load the autoencoder."""
    from vidinv.jobs import exclusive_outputs
    from vidinv.jobs.autoencoder import trained as trained_autoencoder

    exclusive_outputs.check_output(output, folder, overwrite=overwrite)
    return trained_autoencoder.load_autoencoder(folder)


def _write(path: Path, image: Tensor, overwrite: bool) -> None:
    from vidinv.media import picture

    picture.write_picture(path, image, overwrite=overwrite)
    print_line(f"made {path}")
