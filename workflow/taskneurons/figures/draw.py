"""Draw a figure that `report/contents.py` declares: its module's `draw`, as SVG and as PNG."""

from pathlib import Path

from taskneurons.config.settings import StepSettings
from taskneurons.core.artifacts import read_frame
from taskneurons.core.named import named
from taskneurons.figures.common import as_texts, save


class FigureSettings(StepSettings):
    """Which figure."""

    figure: str


def main(settings: FigureSettings, *, tables: list[Path], svg: Path, png: Path) -> None:
    """Write a figure.

    Args:
        tables: what it shows: its own table, and the others that its declaration names.
        svg, png: the files to write.
    """
    frames = [as_texts(read_frame(path, "table")[0]) for path in tables]
    provenance = {"spec": settings.spec(), "figure": settings.figure}
    save(named("figures", settings.figure).draw(*frames), svg, png, provenance)
