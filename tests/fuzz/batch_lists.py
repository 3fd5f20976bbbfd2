"""Fuzz the lists of a batch's clips, CSV and YAML (`vidinv.batch.input_list`), and what a batch makes of their rows."""

from __future__ import annotations

from random import Random

from tests.fuzz import edit_grammar
from tests.fuzz.harness import mutated, refusals, written
from vidinv.batch import input_list, output_names
from vidinv.editing import grammar
from vidinv.errors import InputUnreadable, UsageError

SAMPLES = [
    b'source,edits,name,quality\ntalk.mp4,age+2;smile-1,{stem}.mkv,fast\n"a,b.mp4",age+2,,\n',
    b"\xef\xbb\xbfsource,mask.blur\r\nx.mp4,0.03\r\n",
    b"- talk.mp4\n- {source: a.mp4, edits: [age+2, smile-1], name: '{row:04d}.mp4', mask: {blur: 0.03}}\n",
    b"- source: a.mp4\n  edits: age+2 smile-1\n  quality: best\n  refine: {first: {latent: 2, feature: true}}\n",
]
CELLS = (
    *(
        "source",
        "edits",
        "name",
        "quality",
        "mask.blur",
        "a.mp4",
        "age+2",
        "{row:09999d}",
        "\0",
        '"',
        '""',
        "'",
        ",",
        ";",
    ),
    *("\n", "\r", "\r\n", "\t", " ", "é", "\udcff", "9" * 300, "\ufeff", "\u2028"),
)


def make(chance: Random) -> bytes:
    """A list of clips: a damaged one, or cells and YAML in any order."""
    if chance.random() < 0.4:
        return mutated(SAMPLES, chance)
    parts = CELLS if chance.random() < 0.5 else (*CELLS, *edit_grammar.YAML, "source: ", "edits: ", "name: ", "mask: ")
    head = chance.choice(("", "source,edits,name\n", "source\n", "- source: a.mp4\n  ", "- "))
    text = head + "".join(chance.choice(parts) for _ in range(chance.randrange(1, 24)))
    return text.encode("utf-8", "surrogateescape")


def one(data: bytes) -> None:
    """Read `data` as a list of either kind, and name and parse each row as a batch does."""
    for suffix in input_list.LISTS[:2]:
        path = written(data, f"list{suffix}")
        with refusals(UsageError, InputUnreadable):
            output_names.check_list(str(path))
        with refusals(UsageError, InputUnreadable):
            for row in input_list.read_list(str(path)):
                _use(row)


def _use(row: input_list.InputRow) -> None:
    """Use a row as a batch does, without opening its source."""
    with refusals(UsageError):
        output_names.output_name(row, row.name or output_names.DEFAULT)
    for edit in row.edits:
        with refusals(UsageError):
            grammar.parse(edit)
