"""Artifacts with nothing in them but the link that they are: what a workflow looks at before it runs."""

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reliability.small import jobs_in
from taskneurons.core.chain import MODEL_FILE, TWINS, output_links, text_content, with_note
from taskneurons.core.content import bytes_hash


def outputs(dry_run: str) -> dict[str, str]:
    """Path → link of all outputs of a dry-run's jobs."""
    found = {path: link for spec, files in jobs_in(dry_run) for path, link in output_links(spec, files).items()}
    return {path: link for path, link in found.items() if "/checkpoints/" not in path}


def write(folder: Path, links: dict[str, str]) -> None:
    """A stub for each path below the folder."""
    for path in sorted(links, key=lambda path: Path(path).suffix not in TWINS):  # twins first
        write_one(folder / path, links[path])
    now = time.time()  # the same for all, or some would be newer than what is made of them
    for path in links:
        os.utime(folder / path, (now, now))


def write_one(path: Path, link: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    note = {"link": link, "kind": "stub", "made_of": {}}
    twin = next((path.with_suffix(twin) for twin, own in TWINS.items() if own == path.suffix), path)
    if twin.is_file():
        note["twin"] = bytes_hash(twin)
    text = json.dumps(note)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"taskneurons": text}), path)
    elif path.suffix == ".safetensors":
        header = json.dumps({"__metadata__": {"taskneurons": text}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
    elif path.suffix in (".svg", ".html"):
        path.write_text(with_note("drawn", {**note, "content": text_content("drawn", note)}))
    elif path.suffix in TWINS:
        path.touch()
    else:
        path.mkdir(exist_ok=True)
        (path / MODEL_FILE).write_text(json.dumps({**note, "files": {}}))
