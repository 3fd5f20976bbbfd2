"""Ask once for the acceptance of non-commercial licence terms and record it in the cache folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime, timezone

from rich.console import Console
from rich.prompt import Confirm

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.weights import places
from vidinv.weights.catalog import Entry

ENVIRONMENT = "VIDINV_ACCEPT_LICENCES"


def require_accepted(entries: Sequence[Entry], *, accept: bool, console: Console) -> None:
    """Print the non-commercial terms that are not yet accepted and record their acceptance.

    Terms are accepted by `accept`, by VIDINV_ACCEPT_LICENCES=1, or by an answer on a terminal. Free terms need no
    acceptance; changed terms must be accepted again. Raises WeightsUnavailable if they are not accepted.
    """
    remembered = _remembered()
    pending = [
        e for e in entries if e.terms == "non-commercial" and remembered.get(e.name, {}).get("terms") != e.licence
    ]
    if not pending:
        return
    console.print("These parts may not be used commercially:", highlight=False)
    for entry in pending:
        console.print(
            f"  {entry.name}: {entry.licence}\n    from {entry.origin}", highlight=False, markup=False, soft_wrap=True
        )
    if not (accept or os.environ.get(ENVIRONMENT) == "1" or _answered_yes(console)):
        names = ", ".join(entry.name for entry in pending)
        raise WeightsUnavailable(
            f"the terms of {names} were not accepted", remedy=f"give --accept-licences or set {ENVIRONMENT}=1"
        )
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    remembered.update({entry.name: {"terms": entry.licence, "accepted": now} for entry in pending})
    places.write_cached(places.acceptances(), fileio.json_text(remembered, indent=2))


def _answered_yes(console: Console) -> bool:
    return sys.stdin.isatty() and Confirm.ask("Do you accept these terms?", console=console, default=False)


def _remembered() -> dict[str, dict[str, str]]:
    """Return the recorded acceptances; a missing or unreadable record is empty."""
    try:
        known = fileio.read_json(places.acceptances())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
