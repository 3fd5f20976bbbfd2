"""How an edit is written: what each part means, and that whatever cannot be read is refused at its character."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidinv.editing import grammar
from vidinv.errors import UsageError
from vidinv.frames import Edit


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("age+2", Edit("age", 2.0)),
        ("smile-1.5", Edit("smile", -1.5)),
        (" yaw+0 ", Edit("yaw", 0.0)),
        ("mouth_open+3", Edit("mouth_open", 3.0)),
        ("old-age-1", Edit("old-age", -1.0)),
        ("age=60", Edit("age", 0.0, target=60.0)),
        ("yaw=-12.5", Edit("yaw", 0.0, target=-12.5)),
        ("1:age+2", Edit("age", 2.0, track=1)),
        ("age+2@layers=4-9", Edit("age", 2.0, layers=(4, 10))),
        ("smile+1@region=mouth", Edit("smile", 1.0, region="mouth")),
        ("smile+1@0:03-0:07", Edit("smile", 1.0, span=(3.0, 7.0))),
        ("smile+1@1:00:02.5-", Edit("smile", 1.0, span=(3602.5, math.inf))),
        ("smile+1@-7", Edit("smile", 1.0, span=(0.0, 7.0))),
        ("2:smile+1@3-7@ramp=0@layers=2-2", Edit("smile", 1.0, track=2, layers=(2, 3), span=(3.0, 7.0), ramp=0.0)),
    ],
)
def test_each_part_means_what_it_says(text: str, edit: Edit) -> None:
    assert grammar.parse(text) == edit


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "at its end"),
        ("age", "at its end"),
        ("age2", "at its end"),
        ("age+", "character 4, '\\+'"),
        ("age+x", "character 4, '\\+x'"),
        ("+2", "character 1"),
        ("2+age", "character 1"),
        ("age+1e3", "character 4"),
        ("age++2", "character 4"),
        ("age +2", "character 4, ' \\+2'"),
        ("age+2@", "at its end"),
        ("age+2@@", "character 7"),
        ("age+2@soon", "character 7, 'soon'"),
        ("age+2@layers=9-4", "character 14"),
        ("age+2@region=toes", "character 14, .toes."),
        ("age+2@7-3", "character 7"),
        ("age+2@-", "character 7"),
        ("age+2@ramp=1@ramp=2", "character 14"),
        ("age+9999999", "character 5"),
        ("99999:age+2", "character 1"),
        ("age+\u0662", "character 4"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, where: str) -> None:
    with pytest.raises(UsageError, match=where) as caught:
        grammar.parse(text)
    assert caught.value.exit_code == 2 and caught.value.remedy


PIECES = st.sampled_from([*"age+-=@:.0123456789 ", "layers=", "ramp=", "smile", "0:03", "é", "\n", "\x00"])


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=14).map("".join)))
def test_any_text_is_an_edit_or_a_usage_error(text: str) -> None:
    try:
        edit = grammar.parse(text)
    except UsageError:
        return
    assert math.isfinite(edit.strength) and edit.span[0] < edit.span[1] and edit.ramp >= 0
    assert edit.layers is None or edit.layers[0] < edit.layers[1]


def test_a_list_says_what_the_command_line_says(tmp_path: Path) -> None:
    path = tmp_path / "edits.yaml"
    path.write_text(
        "- age+2\n- smile+1@0:03-0:07\n"
        "- {edit: smile+1, from: 0:03, to: 1:07, track: 1, ramp: 0.5, layers: 2-7}\n- {edit: age=60, from: 8}\n"
    )
    assert [grammar.parse(text) for text in grammar.read_list(path)] == [
        Edit("age", 2.0),
        Edit("smile", 1.0, span=(3.0, 7.0)),
        Edit("smile", 1.0, track=1, layers=(2, 8), span=(3.0, 67.0), ramp=0.5),
        Edit("age", 0.0, target=60.0, span=(8.0, math.inf)),
    ]


@pytest.mark.parametrize("content", ["", "edit: age+2", "- 3", "- {edit: age+2, until: 3}", "- {from: 3}", "[", "\x00"])
def test_a_list_that_is_none_is_a_usage_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "edits.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"edits\.yaml"):
        grammar.read_list(path)


def test_an_edit_of_a_person_names_one() -> None:
    assert grammar.of_person("1:age+2") == "1:age+2"
    with pytest.raises(UsageError, match="names no person"):
        grammar.of_person("age+2")
