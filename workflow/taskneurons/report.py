"""One self-contained HTML page: what was found, and every table and figure with its caption."""

import argparse
import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from taskneurons import command
from taskneurons.artifacts import read_frame, replacing
from taskneurons.findings import findings


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table_html(frame: pd.DataFrame) -> str:
    """A table as HTML, numbers with one or two decimals, missing ones as a dash."""
    return frame.map(_cell).to_html(index=False, border=0, escape=True)


def image_html(path: Path, text: str) -> str:
    """An SVG file inside an image element, so that the page needs no other file."""
    encoded = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{text}" src="data:image/svg+xml;base64,{encoded}">'


def main(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    captions = {path.stem: path.read_text().strip() for path in arguments.captions}
    tables = {path.stem: read_frame(path, "table")[0] for path in arguments.tables}
    figures = {path.stem: path for path in arguments.figures}
    sections = [
        {
            "name": name,
            "caption": captions[name],
            "image": image_html(figures[name], name) if name in figures else "",
            "table": table_html(tables[name]) if name in tables else "",
            "rows": len(tables.get(name, [])),
        }
        for name in dict.fromkeys([*tables, *figures])
    ]
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(arguments.template.read_text())
    with replacing(arguments.out) as partial:
        partial.write_text(
            page.render(
                run=spec["run"],
                model=spec["model"],
                confidence=spec["confidence"],
                settings=spec["settings"],
                findings=findings(tables, spec["enough"]),
                sections=sections,
            )
        )


if __name__ == "__main__":
    options = command.parser(__doc__)
    options.add_argument("--tables", type=Path, nargs="+", required=True, help="the tables (Parquet)")
    options.add_argument("--figures", type=Path, nargs="+", required=True, help="the figures (SVG)")
    options.add_argument("--captions", type=Path, nargs="+", required=True, help="one caption a table or figure")
    options.add_argument("--template", type=Path, required=True, help="the page's Jinja template")
    options.add_argument("--out", type=Path, required=True, help="write the page here")
    command.run(main, options)
