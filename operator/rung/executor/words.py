"""Words of a program that died, for the one line that explains its end."""

from __future__ import annotations

SAID_CHARACTERS = 200  # an exception's last line; more belongs into the log


def last_words(text: str) -> str:
    """The last line that says something to a person: not blank, and no report in JSON. "" if there is none."""
    lines = (line.strip() for line in reversed(text.replace("\r", "\n").splitlines()))
    said = next((line for line in lines if line and not line.startswith("{")), "")
    return "".join(c if c.isprintable() else "?" for c in said[:SAID_CHARACTERS])
