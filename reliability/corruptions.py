"""Corruptions and swaps: a finished run's artifact is damaged, edited or put in another's place, and a job reads it.

The job is run as the workflow runs it, in a copy of the run. It has to refuse with one message, or to write the very
bytes that it wrote from the undisturbed artifact. Final products, which no job reads, and a sample of all others are
tried on the plain command instead: its tables, figures and report have to be those of the undisturbed run, to the
byte, or it ends with one message. A damaged file that no job has to read may stay until one has.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reliability.small import ROOT, bytes_of, jobs, outcome, project_copy, run, small_config, tail

KEY = b"taskneurons"
Job = tuple[dict[str, Any], dict[str, Any]]  # spec and files
Change = Callable[[Path, random.Random, "Finished"], None]


def finished_runs(folder: Path) -> "Finished":
    """Two undisturbed runs below a folder; those that are there are taken as they are."""
    places = folder / "finished", folder / "other"
    for project, seed in zip(places, (0, 1), strict=True):
        if not (project / "done").exists():
            shutil.rmtree(project, ignore_errors=True)
            project_copy(project)
            (project / "small.json").write_text(json.dumps({**small_config(), "seed": seed}))
            result = run(project, "small.json", "--notemp")  # the sums of shards are kept, to be tried too
            if result.returncode:
                raise RuntimeError(f"the undisturbed run failed: {tail(result.stderr, 30)}")
            (project / "done").touch()
    return Finished(*places)


class Finished:
    """A finished run, what its jobs read, and a second one by another seed, from which foreign artifacts are taken.

    Attributes:
        folder: the project's copy that it was run in.
        other: that of the other seed.
        jobs: (spec, files) of all its jobs.
        readers: artifact → the jobs that read it.
        bytes: path → hash of the bytes, of all outputs.
    """

    def __init__(self, folder: Path, other: Path) -> None:
        self.folder, self.other = folder, other
        self.jobs = list(jobs(folder, "small.json"))
        self.readers: dict[str, list[Job]] = {}
        for spec, files in self.jobs:
            for keyword in spec["inputs"]:
                paths = [files[keyword]] if isinstance(files[keyword], str) else files[keyword]
                for path in paths:
                    if path.startswith("results/") and (folder / path).exists():
                        self.readers.setdefault(path, []).append((spec, files))
        self.bytes = bytes_of(folder)

    def of_kind(self, path: Path) -> list[Path]:
        """The other artifacts that look alike: of the same folder of the run, with the same ending."""
        top = path.relative_to("results/small").parts[0]
        alike = (self.folder / "results/small" / top).rglob(f"*{path.suffix}" if path.suffix else "*")
        found = (file.relative_to(self.folder) for file in alike)
        return sorted(file for file in found if file != path and (bool(path.suffix) or str(file) in self.readers))


def flip(path: Path, rng: random.Random, run: Finished) -> None:
    """One bit of one byte, anywhere in the file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    replace(path, bytes(content))


def cut(path: Path, rng: random.Random, run: Finished) -> None:
    """Only its beginning is left."""
    content = path.read_bytes()
    replace(path, content[: rng.randrange(1, len(content))])


def empty(path: Path, rng: random.Random, run: Finished) -> None:
    replace(path, b"")


def text(path: Path, rng: random.Random, run: Finished) -> None:
    replace(path, b"a page that says: not found\n")


def gone(path: Path, rng: random.Random, run: Finished) -> None:
    path.unlink()


def another_of_its_kind(path: Path, rng: random.Random, run: Finished) -> None:
    """Another task's, split's, seed's, model's, set's or table's file under its name."""
    relative = path.relative_to(path_of_project(path))
    replace(path, (run.folder / rng.choice(run.of_kind(relative))).read_bytes())


def of_another_run(path: Path, rng: random.Random, run: Finished) -> None:
    """The same file of a run by another seed."""
    replace(path, (run.other / path.relative_to(path_of_project(path))).read_bytes())


def edited_rows(path: Path, rng: random.Random, run: Finished) -> None:
    """One value is another, and the file says what it said before."""
    table = pq.read_table(path)
    columns = [name for name in table.column_names if changed(table[name], 0) is not None]
    name = rng.choice(columns)
    column = changed(table[name], rng.randrange(len(table)))
    write(path, table.set_column(table.column_names.index(name), table.schema.field(name), column))


def changed(column: pa.ChunkedArray, row: int) -> pa.ChunkedArray | None:
    """A column with another value in a row; None where it has a kind that is not edited here."""
    values = column.to_pylist()
    if not values or values[row] is None:
        return None
    value = values[row]
    if isinstance(value, bool):
        values[row] = not value
    elif isinstance(value, int | float):
        values[row] = value + 1
    elif isinstance(value, str):
        values[row] = f"{value} x"
    else:
        return None
    return pa.chunked_array([pa.array(values, column.type)])


def not_a_number(path: Path, rng: random.Random, run: Finished) -> None:
    """A number of a column of floats is NaN."""
    table = pq.read_table(path)
    names = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    if not names:
        raise LookupError
    name = rng.choice(names)
    row = pa.array(range(len(table)))
    nan = pc.if_else(pc.equal(row, rng.randrange(len(table))), float("nan"), table[name].combine_chunks())
    write(path, table.set_column(table.column_names.index(name), name, nan.cast(table.schema.field(name).type)))


def fewer_rows(path: Path, rng: random.Random, run: Finished) -> None:
    table = pq.read_table(path)
    write(path, table.slice(0, len(table) - 1))


def renamed_column(path: Path, rng: random.Random, run: Finished) -> None:
    table = pq.read_table(path)
    names = list(table.column_names)
    names[rng.randrange(len(names))] += "_x"
    write(path, table.rename_columns(names).replace_schema_metadata(table.schema.metadata))


def says_another(path: Path, rng: random.Random, run: Finished) -> None:
    """Its provenance says another task, set, k, model, link or the like; the rows are the same."""
    table = pq.read_table(path)
    note = json.loads(table.schema.metadata[KEY])
    keys = [key for key in note if key not in ("spec", "content") and isinstance(note[key], str | int | float)]
    key = rng.choice(keys)
    note[key] = f"{note[key]}x" if isinstance(note[key], str) else note[key] + 1
    write(path, table.replace_schema_metadata({**table.schema.metadata, KEY: json.dumps(note)}))


def says_nothing(path: Path, rng: random.Random, run: Finished) -> None:
    """As a program writes it that reads the rows and writes them back without the provenance."""
    write(path, pq.read_table(path).replace_schema_metadata({}))


def write(path: Path, table: pa.Table) -> None:
    path.unlink()
    pq.write_table(table, path)


def replace(path: Path, content: bytes) -> None:
    """Write a file anew: the copy of the run shares its files with the original."""
    path.unlink()
    path.write_bytes(content)


def path_of_project(path: Path) -> Path:
    """The project's folder above a file of its results."""
    return next(parent.parent for parent in path.parents if parent.name == "results")


# ---- model folders ----


def file_of_folder(change: Change) -> Change:
    """The same done to one file of a model's folder."""

    def on_a_file(path: Path, rng: random.Random, run: Finished) -> None:
        change(rng.choice(sorted(path.iterdir())), rng, run)

    on_a_file.__name__ = f"{change.__name__}_in_a_file"
    return on_a_file


def another_model(path: Path, rng: random.Random, run: Finished) -> None:
    """The base model in place of the fine-tuned one, or the other way round."""
    other = {"base": "multitask-seed1"}.get(path.name, "base")
    shutil.rmtree(path)
    shutil.copytree(run.folder / "results/small/models" / other, path)


def weights_of_another_model(path: Path, rng: random.Random, run: Finished) -> None:
    other = {"base": "multitask-seed1"}.get(path.name, "base")
    replace(path / "model.safetensors", (run.folder / f"results/small/models/{other}/model.safetensors").read_bytes())


def model_of_another_run(path: Path, rng: random.Random, run: Finished) -> None:
    shutil.rmtree(path)
    shutil.copytree(run.other / path.relative_to(path_of_project(path)), path)


PRODUCTS = ("tables", "figures", "report.html")  # what a run is for

ANY = (flip, flip, cut, empty, text, gone, another_of_its_kind, of_another_run)
TABLE = (edited_rows, not_a_number, fewer_rows, renamed_column, says_another, says_nothing)
FOLDER = (*map(file_of_folder, (flip, flip, cut, empty, gone)), another_model, weights_of_another_model)
FINAL = (flip, cut, empty, text, another_of_its_kind, of_another_run)


def changes_of(path: str) -> tuple[Change, ...]:
    """What is done to an artifact, by its kind."""
    if path.endswith(".parquet"):
        return (*ANY, *TABLE)
    return ANY if Path(path).suffix else (*FOLDER, model_of_another_run)


def cases(finished: Finished, number: int, seed: int) -> list[dict[str, Any]]:
    """So many corruptions, spread over all kinds of artifacts: which file, what is done to it, who reads it."""
    rng = random.Random(seed)
    kinds: dict[tuple[str, str], list[str]] = {}
    for path in sorted(finished.readers):
        kinds.setdefault((Path(path).parts[2], Path(path).suffix), []).append(path)
    final = [path for path in finished.bytes if Path(path).suffix in (".csv", ".svg", ".png", ".html")]
    found: list[dict[str, Any]] = []
    for at in range(number):
        kind = list(kinds)[at % len(kinds)]
        path = rng.choice(kinds[kind])
        change = changes_of(path)[(at // len(kinds)) % len(changes_of(path))]
        plain = at % 15 == 14
        if at % 16 == 15:
            path, plain = rng.choice(final), True
            change = FINAL[(at // 16) % len(FINAL)]
        what = f"corruption {at}: {change.__name__.replace('_', ' ')}, {path.removeprefix('results/small/')}"
        found.append({"name": f"{what}{', plain command' if plain else ''}", "path": path, "change": change})
        found[-1] |= {"plain": plain, "seed": rng.random()}
    return found


def attempt(case: dict[str, Any], folder: Path, finished: Finished) -> dict[str, str]:
    """One corruption, and what came of it."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    subprocess.run(["cp", "-al", finished.folder, project], check=True)  # files are shared: a change writes a new one
    rng = random.Random(case["seed"])
    try:
        case["change"](project / case["path"], rng, finished)
    except LookupError:
        return outcome(case, "harmless", "there is nothing of the kind to change")
    if case["plain"]:
        result = run(project, "small.json", "--notemp")
        paths = [path for path in finished.bytes if Path(path).parts[2] in PRODUCTS]
    else:
        spec, files = rng.choice(finished.readers[case["path"]])
        paths = [path for name, path in each(files) if name not in spec["inputs"] and path in finished.bytes]
        paths += folders_of(files, spec, finished)
        result = step(project, spec, files)
    said = tail(result.stderr, 12)
    if "Traceback" in said:
        return outcome(case, "traceback", said)
    if result.returncode:
        return outcome(case, "refused clearly" if "Error" in said else "traceback", said)
    found = bytes_of(project)
    wrong = [path for path in paths if found.get(path) != finished.bytes[path]]
    if wrong == [case["path"]] and same_rows(project / wrong[0], finished.folder / wrong[0]):
        wrong = []  # a bit that means nothing, as in a column's statistics
    if wrong:
        return outcome(case, "silently wrong", f"{len(wrong)} files differ, the first {wrong[0]}; {said}")
    left = " (the damaged file stays: nothing had to read it)" if found != finished.bytes and case["plain"] else ""
    return outcome(case, "harmless", f"the same {len(paths)} files as without it{left}")


def same_rows(one: Path, other: Path) -> bool:
    """Whether two Parquet files hold the same rows and say the same of themselves."""
    if one.suffix != ".parquet":
        return False
    tables = pq.read_table(one), pq.read_table(other)
    return tables[0].equals(tables[1], check_metadata=True)


def each(files: dict[str, Any]) -> list[tuple[str, str]]:
    """(keyword, path) of all files of a job."""
    return [(name, path) for name, value in files.items() for path in ([value] if isinstance(value, str) else value)]


def folders_of(files: dict[str, Any], spec: dict[str, Any], finished: Finished) -> list[str]:
    """The files within the folders that a job writes."""
    folders = [path for name, path in each(files) if name not in spec["inputs"] and not Path(path).suffix]
    return [path for path in finished.bytes for folder in folders if path.startswith(f"{folder}/")]


def step(project: Path, spec: dict[str, Any], files: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """One job, as the workflow's rules run it, in a process of its own or in a fork of the warm one."""
    command = [sys.executable, str(project / "workflow/run_step.py"), json.dumps(spec), json.dumps(files)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env=dict(os.environ))


# ---- what trainings keep ----


def untouched(path: Path, rng: random.Random, run: Finished) -> None:
    """Nothing: the training has to go on from it, or the other trials would show nothing."""


KEPT = (untouched, flip, flip, cut, empty, text)


def checkpoint_cases(number: int, seed: int) -> list[dict[str, Any]]:
    """What a killed training left is damaged before it goes on: a checkpoint, a finished set's delta or its history."""
    rng = random.Random(seed)
    kinds = ("base.safetensors", "multitask-seed1.safetensors", "a finished delta", "a finished set's history")
    return [
        {
            "name": f"checkpoint {at}: {KEPT[at // len(kinds) % len(KEPT)].__name__}, {kinds[at % len(kinds)]}",
            "kind": kinds[at % len(kinds)],
            "change": KEPT[at // len(kinds) % len(KEPT)],
            "seed": rng.random(),
        }
        for at in range(number)
    ]


def kept_state(finished: Finished, folder: Path) -> Path:
    """A run's `checkpoints` folder with a state of every training: made by letting each job die near its end."""
    kept = folder / "kept"
    if not (kept / "done").exists():
        script = ROOT / "reliability" / "die_with_state.py"
        subprocess.run([sys.executable, str(script), str(finished.folder), str(kept)], check=True)
        (kept / "done").touch()
    return kept


def checkpoint_attempt(case: dict[str, Any], folder: Path, finished: Finished) -> dict[str, str]:
    """A training goes on from a damaged state; the bytes at its end are those of one that nobody disturbed."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    subprocess.run(["cp", "-al", finished.folder, project], check=True)
    kept = kept_state(finished, folder)
    place = project / "results/small/checkpoints"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(kept, place)
    rng = random.Random(case["seed"])
    tuned = place / "film_reviews-seed0"
    if case["kind"] == "a finished delta":
        target, training = tuned / "own10-tuned.delta.safetensors", "training/film_reviews-seed0.parquet"
    elif case["kind"] == "a finished set's history":
        target, training = tuned / "own10-tuned.parquet", "training/film_reviews-seed0.parquet"
    else:
        target, training = place / case["kind"], f"training/{case['kind'].removesuffix('.safetensors')}.parquet"
    case["change"](target, rng, finished)
    spec, files = next(
        (spec, files) for spec, files in finished.jobs if files.get("metrics") == f"results/small/{training}"
    )
    result = step(project, spec, files)
    said = tail(result.stderr, 12)
    if result.returncode:
        return outcome(case, "traceback" if "Traceback" in said else "refused clearly", said)
    paths = [path for name, path in each(files) if name not in spec["inputs"] and path in finished.bytes]
    paths += folders_of(files, spec, finished)
    found = bytes_of(project)
    wrong = [path for path in paths if found.get(path) != finished.bytes[path]]
    taken_up = "trained in an earlier try" if target.parent == tuned else "going on after"
    if case["change"] is untouched and taken_up not in result.stderr:
        wrong.append("the state, which was not taken up")
    return outcome(
        case,
        "silently wrong" if wrong else "harmless",
        f"{len(wrong)} files differ" if wrong else f"the same {len(paths)} files, after: {tail(result.stderr, 1)}",
    )
