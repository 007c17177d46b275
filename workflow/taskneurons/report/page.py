"""One self-contained HTML page: what was found, and every table and figure with its caption."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from taskneurons.config.settings import StepSettings
from taskneurons.core.artifacts import read_frame, read_text, write_text
from taskneurons.report.findings.listed import findings


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "–"
    if not isinstance(value, float):
        return str(value)
    if 0 < abs(value) < 0.01:
        return f"{value:.1g}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


ROWS_SHOWN = 40


def table_html(frame: pd.DataFrame) -> str:
    """A table's first rows as HTML; numbers have one or two decimals, small ones a digit; a dash is none."""
    return frame.head(ROWS_SHOWN).map(_cell).to_html(index=False, border=0, escape=True)


def rows_line(name: str, rows: int) -> str:
    """How many rows a table has, and where those are that the page does not show."""
    if rows <= ROWS_SHOWN:
        return f"{rows} rows"
    return f"The first {ROWS_SHOWN} of {rows} rows; all are in tables/{name}.csv"


def image_html(path: Path, text: str) -> str:
    """An SVG file inside an image element, so that the page needs no other file."""
    encoded = base64.b64encode(read_text(path, "figure").encode()).decode()
    return f'<img alt="{text}" src="data:image/svg+xml;base64,{encoded}">'


def made_of_line(provenance: dict[str, Any]) -> str:
    """What a table is made of, in a line: k, seeds, models and its link in the chain."""
    behind = {**provenance.get("made_with", {})}
    if "k" in provenance:
        behind["k"] = sorted({*behind.get("k", []), provenance["k"]})
    names = {"k": "k = {} %", "seed": "training seeds: {}", "model": "models {}"}
    parts = [
        text.format(", ".join(f"{value}" if isinstance(value, str) else f"{value:g}" for value in behind[key]))
        for key, text in names.items()
        if behind.get(key)
    ]
    return "; ".join([*parts, f"link {provenance.get('link', 'none')}"])


class ReportSettings(StepSettings):
    """What the page depends on besides the tables and figures.

    Attributes:
        run, model: their names.
        confidence: of the intervals, in percent.
        enough: percent of agreement between masks of disjoint examples that counts as enough.
        facts: what a reader needs to know of the settings, each with its value.
        titles: table → what it shows, in a line.
        left_out: the tables that this run does not have → why.
    """

    run: str
    model: str
    confidence: float
    enough: float
    facts: dict[str, str]
    titles: dict[str, str]
    left_out: dict[str, str]


def main(
    settings: ReportSettings,
    *,
    tables: list[Path],
    figures: list[Path],
    captions: list[Path],
    template: Path,
    page: Path,
) -> None:
    """Write the page.

    Args:
        tables, figures: in the order in which they are shown; figures as SVG.
        captions: one a table, which its figure shares.
        template: the page's Jinja template.
        page: the file to write.
    """
    texts = {path.stem: path.read_text().strip() for path in captions}
    read = {path.stem: read_frame(path, "table") for path in tables}
    frames = {name: frame for name, (frame, _) in read.items()}
    images = {path.stem: path for path in figures}
    sections = [
        {
            "name": name,
            "title": settings.titles[name],
            "caption": texts[name],
            "image": image_html(images[name], name) if name in images else "",
            "table": table_html(frame),
            "rows": rows_line(name, len(frame)),
            "made_of": made_of_line(provenance),
        }
        for name, (frame, provenance) in read.items()
    ]
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    text = environment.from_string(template.read_text()).render(
        run=settings.run,
        model=settings.model,
        confidence=f"{settings.confidence:g}",
        facts=settings.facts,
        findings=findings(frames, settings.enough),
        left_out=settings.left_out,
        sections=sections,
    )
    write_text(page, text, "report", {"spec": settings.spec(), "run": settings.run})
