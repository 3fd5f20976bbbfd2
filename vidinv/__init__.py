"""Edit the face in a video by GAN inversion and keep everything else untouched.

The public functions are those of `vidinv.api`; each is imported when it is first asked for, since `import vidinv`
alone does not load torch.

    import vidinv

    report = vidinv.run("talk.mp4", "older.mp4", ["age+2"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidinv.api import autoencoder, edit, invert, load, run
    from vidinv.backends.interface import Models
    from vidinv.errors import VidinvError
    from vidinv.frames import Code
    from vidinv.jobs.autoencoder.trained import Autoencoder

__all__ = ["Autoencoder", "Code", "Models", "VidinvError", "autoencoder", "edit", "invert", "load", "run"]


def __getattr__(name: str) -> Any:
    """A public name, from `vidinv.api` (or the base of all errors, from `vidinv.errors`)."""
    if name not in __all__:
        raise AttributeError(f"module 'vidinv' has no attribute {name!r}")
    from vidinv import api, errors

    return errors.VidinvError if name == "VidinvError" else getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
