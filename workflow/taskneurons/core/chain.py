"""The chain: every artifact says which link it is, so that no step takes one file for another.

A *link* is a hash of a step's spec and of which of its outputs a file is. The spec holds the links of the step's
inputs, so that a link stands for everything that is upstream of a file: settings, code, packages, and the content of
the files that no step makes. It is known before anything is made, which is how a workflow finds that a file of an
earlier config, or of another run, is not what the config at hand asks for.

What cannot be known beforehand is what a step will write: two trainings by the same settings may differ (on a GPU, or
by another machine's rounding). So an artifact also says of which models and data it was made (`made_of`, by link), and
a job is refused whose inputs were made of different ones.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taskneurons.core.content import bytes_hash, content_hash, remembered_hash
from taskneurons.core.errors import UserError

METADATA_KEY = b"taskneurons"
MODEL_FILE = "identity.json"  # where a model's folder says what it is
FOREIGN = "file "  # begins the link of a file that no step makes
IDENTITIES = {"model": "identity", "task data": "data_hash"}  # kind → what its provenance calls its content
# Where the user gives options, as --configfile, they belong to this command too.
HINT = "your snakemake command with `-R {}` makes it anew, with what follows from it"

Files = dict[str, str | list[str]]


def each(files: Files) -> Iterator[tuple[str, str]]:
    """(name, path) of every file of a job; of several by one keyword the name is the keyword with a number."""
    for keyword, paths in files.items():
        if isinstance(paths, str):
            yield keyword, paths
        else:
            yield from ((f"{keyword} {number}", path) for number, path in enumerate(paths))


def output_links(spec: dict[str, Any], files: Files) -> dict[str, str]:
    """Path → link of a job's outputs, which are all its files that the spec does not name as inputs."""
    outputs = {keyword: paths for keyword, paths in files.items() if keyword not in spec.get("inputs", {})}
    said = json.dumps(spec)  # in its own order: that of the tasks is the tables' order
    return {path: content_hash([said, name]) for name, path in each(outputs)}


def foreign_link(path: Path) -> str:
    """The link of a file that no step makes: its content."""
    return FOREIGN + remembered_hash(path)


def recorded(path: Path) -> dict[str, Any] | None:
    """The provenance that an artifact carries; None if it carries none, cannot be read, or is not all there.

    A table as CSV and a figure as PNG carry none themselves: their twins (Parquet, SVG) have the hash of their bytes.
    """
    mark = damage_mark(path)
    if mark.exists() and mark.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        return None
    if path.suffix in TWINS:
        twin = recorded(path.with_suffix(TWINS[path.suffix]))
        return twin if twin and path.is_file() and twin.get("twin") == bytes_hash(path) else None
    if path.is_dir():
        reader = _of_folder
    elif path.suffix in READERS:
        reader = READERS[path.suffix]
    else:
        return None
    try:
        found = reader(path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException):
        return None
    return found if isinstance(found, dict) else None


def damage_mark(path: Path) -> Path:
    """The file beside an artifact by which a job that found it damaged tells the next planning so."""
    return path.with_name(f".{path.name}.damaged")


def _of_folder(path: Path) -> Any:
    note = json.loads((path / MODEL_FILE).read_text())
    written = (path / MODEL_FILE).stat().st_mtime_ns  # last of all
    for name, (size, content) in note["files"].items():
        state = (path / name).stat()
        if state.st_size != size or (state.st_mtime_ns > written and remembered_hash(path / name) != content):
            return None
    return note


def _of_parquet(path: Path) -> Any:
    return json.loads((pq.read_schema(path).metadata or {}).get(METADATA_KEY, b"null"))


def _of_safetensors(path: Path) -> Any:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, 10**8)))
    end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    if path.stat().st_size != 8 + size + end:
        return None
    return json.loads(header.get("__metadata__", {}).get(METADATA_KEY.decode(), "null"))


BEGIN, END = "\n<!-- taskneurons: ", " -->\n"


def with_note(text: str, note: dict[str, Any]) -> str:
    """A page or a drawing (HTML, SVG) with its provenance as a comment at its end."""
    # Two hyphens would end the comment; JSON may write one as its number.
    return text + BEGIN + json.dumps(note, sort_keys=True).replace("--", "-\\u002d") + END


def split_note(text: str) -> tuple[str, dict[str, Any]]:
    """The text and the provenance of what `with_note` made; an empty one where there is none."""
    before, _, note = text.rpartition(BEGIN)
    return (before, json.loads(note.removesuffix(END))) if before and note.endswith(END) else (text, {})


def text_content(text: str, note: dict[str, Any]) -> str:
    """The content hash of a text, or of the hash of something larger, and its provenance."""
    return content_hash([text, {key: value for key, value in note.items() if key != "content"}])


def _of_text(path: Path) -> Any:
    text, note = split_note(path.read_text())
    return note if note and note.get("content") == text_content(text, note) else None


READERS = {".parquet": _of_parquet, ".safetensors": _of_safetensors, ".svg": _of_text, ".html": _of_text}
TWINS = {".csv": ".parquet", ".png": ".svg"}


def speaker(path: str) -> str:
    """The file that says which link a file is: itself, or its twin."""
    return str(Path(path).with_suffix(TWINS[Path(path).suffix])) if Path(path).suffix in TWINS else path


def carries_note(path: Path) -> bool:
    """Whether an artifact of this name says which link it is, itself or by its twin."""
    return path.suffix in READERS or path.suffix in TWINS or not path.suffix


def content_of(note: dict[str, Any]) -> dict[str, str]:
    """Link → identity of an artifact that others are made of: a model or a task's data; empty for other kinds."""
    key = IDENTITIES.get(note.get("kind", ""))
    return {note["link"]: note[key]} if key and "link" in note else {}


def made_of(notes: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Link → identity of all models and task data that artifacts are, or were made of."""
    found: dict[str, str] = {}
    for note in notes:
        found |= note.get("made_of", {}) | content_of(note)
    return found


def made_with(notes: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """The k, the trainings' seeds and the models' identities behind artifacts, each sorted and once."""
    found: dict[str, set[Any]] = {"k": set(), "seed": set(), "model": set()}
    for note in notes:
        for key, values in note.get("made_with", {}).items():
            found[key].update(values)
        if note.get("kind") == "model":
            found["model"].add(f"{note.get('state')} {note['identity']}")
        for key in ("k", "seed"):
            if isinstance(note.get(key), int | float):
                found[key].add(note[key])
    return {key: sorted(values) for key, values in found.items()}


def check_inputs(spec: dict[str, Any], files: Files) -> list[dict[str, Any]]:
    """The provenance of a job's inputs, after a check that they are what its spec expects.

    Raises:
        UserError: a file is missing, is another link of the chain than the spec says, or was made of another model or
            data than the other inputs.
    """
    expected: dict[str, str | list[str]] = spec.get("inputs", {})
    paths = dict(each({keyword: files[keyword] for keyword in expected}))
    links = dict(each(expected))
    if set(paths) != set(links):
        raise UserError(f"the job's files are not those of its spec: {', '.join(sorted(set(paths) ^ set(links)))}")
    notes = {}
    for name, path in paths.items():
        if not Path(path).exists():
            raise UserError(f"{path} does not exist: {HINT.format(path)}")
        if links[name].startswith(FOREIGN):
            if foreign_link(Path(path)) != links[name]:
                raise UserError(f"{path} was changed while the workflow ran: run it again")
            continue
        note = recorded(Path(path)) or {}
        if note.get("link") != links[name]:
            raise UserError(
                f"{path} is not the file that this job needs ({name} of {spec['step']}): it is {described(note)}, and "
                f"the config asks for the link {links[name]}. It was made with other settings, belongs elsewhere, or "
                f"is damaged: {HINT.format(path)}"
            )
        notes[path] = note
    _check_made_of_the_same(notes)
    return list(notes.values())


def _check_made_of_the_same(notes: dict[str, dict[str, Any]]) -> None:
    first: dict[str, tuple[str, str]] = {}  # link → identity, and the file that says so
    # The models and data themselves come first, so that what was made of others is told by name.
    for path, note in sorted(notes.items(), key=lambda item: item[1]["kind"] not in IDENTITIES):
        for link, identity in made_of([note]).items():
            known, by = first.setdefault(link, (identity, path))
            if known != identity:
                raise UserError(
                    f"{path} was made of a model or data with the content {identity}, and {by} says {known}: both are "
                    f"of the same settings, but not of the same making. {HINT.format(path)}"
                )


def described(note: dict[str, Any]) -> str:
    """What an artifact says of itself, in a line."""
    if not note:
        return "no artifact of this workflow"
    keys = ("task", "split", "table", "figure", "set", "rule", "k", "seed", "state")
    said = [f"{key} {note[key]}" for key in keys if note.get(key) is not None]
    return f"{note.get('kind', 'an artifact')} ({', '.join([*said, 'link ' + str(note.get('link', 'none'))])})"


class _Job:
    """What the running job adds to the provenance of each file that it writes."""

    notes: dict[str, dict[str, Any]] = {}  # noqa: RUF012 (one job a process)


def start_job(spec: dict[str, Any], files: Files) -> None:
    """Check a job's inputs; from now on what it writes says which link it is. Raises as `check_inputs`."""
    inputs = check_inputs(spec, files)
    common = {"made_of": made_of(inputs), "made_with": made_with(inputs)}
    _Job.notes = {path: {"link": link, **common} for path, link in output_links(spec, files).items()}


def note_of_output(path: str | Path) -> dict[str, Any]:
    """The link of a file of the running job, and what it is made of; empty outside of a job."""
    return _Job.notes.get(str(path), {})
