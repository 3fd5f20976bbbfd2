"""Read the user's pip configuration: package indexes, proxy and certificates from files and the environment.

`pip config list` is called, which runs no package's code; in an environment without pip, its files and PIP_*
variables are read here in pip's order. URLs may hold credentials: never print them.
"""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SECTIONS = ("global", "install", "download", ":env:")  # later ones win, as in pip
_FALSE = {"", "0", "false", "no", "off", "n", "f"}


@dataclass(frozen=True)
class PipConfig:
    """The options that matter for finding and fetching an archive. `timeout` in seconds; None or () = not set."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    timeout: float = 15.0
    retries: int = 5
    no_input: bool = False


def read_pip_config() -> PipConfig:
    """Return the configuration of this interpreter's pip, or read pip's files if it is not installed."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        listed = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return from_options(_read_files())
    return from_options(parse_list(listed))


def parse_list(listed: str) -> dict[str, str]:
    """Parse the lines of `pip config list` (section.option='value'); the section of highest precedence wins."""
    sections: dict[str, dict[str, str]] = {}
    for line in listed.splitlines():
        key, equals, literal = line.partition("=")
        section, dot, option = key.rpartition(".")
        if not (equals and dot):
            continue
        try:
            value = str(ast.literal_eval(literal))
        except (ValueError, SyntaxError):
            value = literal
        sections.setdefault(section, {})[_option(option)] = value
    return _merge(sections)


def from_options(options: Mapping[str, str]) -> PipConfig:
    """Build a PipConfig from pip's option names and text values; a malformed number counts as not set."""
    return PipConfig(
        index_url=options.get("index-url") or None,
        extra_index_urls=_words(options, "extra-index-url"),
        find_links=_words(options, "find-links"),
        no_index=_flag(options, "no-index"),
        trusted_hosts=_words(options, "trusted-host"),
        cert=options.get("cert") or None,
        client_cert=options.get("client-cert") or None,
        proxy=options.get("proxy") or None,
        timeout=_number(options, "timeout", 15.0),
        retries=int(_number(options, "retries", 5)),
        no_input=_flag(options, "no-input"),
    )


def _read_files() -> dict[str, str]:
    """Read pip's configuration: site, user and environment files, then PIP_CONFIG_FILE, then PIP_* variables."""
    sections: dict[str, dict[str, str]] = {}
    for path in _files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in parser.sections():
            values = sections.setdefault(section, {})
            values.update({_option(option): value for option, value in parser.items(section)})
    sections[":env:"] = {
        _option(name[len("PIP_") :].lower()): value for name, value in os.environ.items() if name.startswith("PIP_")
    }
    return _merge(sections)


def _files() -> list[Path]:
    given = os.environ.get("PIP_CONFIG_FILE")
    if given == os.devnull:
        return []
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    wide = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    home = Path(os.environ.get("APPDATA") or os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    paths = [Path(folder, "pip", name) for folder in wide.split(os.pathsep)]
    paths += [Path("/etc", name), Path.home() / ".pip" / name, home / "pip" / name, Path(sys.prefix, name)]
    return [*paths, Path(given)] if given else paths


def _option(name: str) -> str:
    """pip's long option name: `default_timeout` and `timeout` are the same."""
    name = name.replace("_", "-").removeprefix("--")
    return "timeout" if name == "default-timeout" else name


def _merge(sections: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for section in _SECTIONS:
        merged.update(sections.get(section, {}))
    return merged


def _words(options: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Whitespace-separated values, as pip splits them."""
    return tuple(options.get(name, "").split())


def _flag(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "").strip().lower() not in _FALSE


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(options[name])
    except (KeyError, ValueError):
        return default
