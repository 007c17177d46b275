"""Make a table that `report/contents.py` declares: its module's `rows`, as Parquet and as CSV."""

from pathlib import Path

import pandas as pd

from taskneurons.core.artifacts import replacing, write_frame
from taskneurons.core.content import bytes_hash
from taskneurons.core.named import named
from taskneurons.tables.common import TableSettings


def main(settings: TableSettings, *, parquet: Path, csv: Path, **inputs: Path | list[Path]) -> None:
    """Write a table, in CSV with six significant digits.

    Args:
        parquet, csv: the files to write.
        inputs: the kinds of files that the table's `rows` takes.
    """
    frame = pd.DataFrame(named("tables", settings.table).rows(settings, **inputs))
    with replacing(csv) as partial:
        frame.to_csv(partial, index=False, float_format="%.6g")
    provenance = {"spec": settings.spec(), "table": settings.table, "twin": bytes_hash(csv)}
    provenance |= {"k": settings.config["selection.k"]} if "selection.k" in settings.config else {}
    write_frame(parquet, frame, "table", provenance)
