"""Read the sizes of the residual trunks that encoders and recognition networks share from their keys."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers.formats.base import LONGEST, State, count_numbers, most_common, numbers, sizes, stages

STATISTICS = r"(weight|bias|running_mean|running_var)"


def residual_stages(state: State, block: str, what: str) -> tuple[tuple[int, int], ...]:
    """Return (channels, blocks) of an iresnet's four stages; `block` is a stage's key pattern with {s} its number."""
    counts, widths = [], []
    for s in range(1, 5):
        names = block.format(s=s)
        counts.append(count_numbers(state, rf"{names}(\d+)\..*", what))
        widths.append(most_common(sizes(state, rf"{names}\d+\.(prelu|bn2|bn3)\.{STATISTICS}", 0), what))
    return stages(counts, widths)


def ir_se_stages(state: State) -> tuple[tuple[int, int], ...]:
    """Return (channels, blocks) of an IR-SE trunk's four stages; each stage starts at a block with a shortcut."""
    count = count_numbers(state, r"body\.(\d+)\..*", "blocks, body.*")
    shortcuts = Counter(numbers(state, r"body\.(\d+)\.shortcut_layer\.\d\..*")).most_common(3)
    starts = [0, *sorted(index for index, _ in shortcuts), count]
    if len(starts) != 5 or count > 4 * LONGEST:
        raise WeightsUnavailable(
            f"by its keys, body.*.shortcut_layer.*, the stages of {count} blocks begin at {starts}"
        )
    spans = list(pairwise(starts))
    widths = []
    for first, after in spans:
        own = "|".join(map(str, range(first, after)))
        found = sizes(state, rf"body\.({own})\.res_layer\.(2|4)\.{STATISTICS}", 0)
        widths.append(most_common(found, f"channels, body.{first} to {after - 1}"))
    return stages((after - first for first, after in spans), widths)
