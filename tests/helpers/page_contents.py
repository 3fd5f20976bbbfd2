"""What a report page holds for a reader, and text that must stay text in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

EVIL = "<script>hacked = 1</script><img src=x onerror='hacked = 1'><b>&amp;</b>\"'"


class Contents(HTMLParser):
    """The elements of a page and the text that a person reads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", "".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.words.append(data)


def shape(contents: Contents) -> list[str]:
    return [tag for tag, _ in contents.tags]
