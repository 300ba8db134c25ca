"""The day on which the whole series last ran from start to end, as the weekly workflow hands it over in VERIFIED."""

import os
from datetime import date
from pathlib import Path

BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="176" height="20" role="img" aria-label="last verified: {day}">
<title>last verified: {day}</title><rect width="176" height="20" rx="3" fill="#444"/>
<path d="M90 0h83a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-83z" fill="#0072b2"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="45" y="14">last verified</text><text x="133" y="14">{day}</text></g></svg>
"""


def day() -> date | None:
    """None where nobody says. Raises ValueError for what is no date (YYYY-MM-DD) or lies ahead."""
    given = os.environ.get("VERIFIED", "")
    if given and date.fromisoformat(given) > date.today():
        raise ValueError(f"{given} is still to come")
    return date.fromisoformat(given) if given else None


def sentence() -> str:
    """For the first page; empty where nobody says."""
    return f"The whole series last ran from start to end, on the newest image, on {day()}." if day() else ""


def write_badge(site: Path) -> None:
    """verified.svg, for a README to show; none where nobody says."""
    if day():
        (site / "verified.svg").write_text(BADGE.format(day=day()), encoding="utf-8")
