"""A warm process for the steps of a local run: it has imported the third-party packages, and forks for every job.

Importing torch and transformers costs seconds of CPU time, and a run has hundreds of jobs. The first job of a run
starts the warm process (`serve`), which is gone when that run's Snakemake is. A job's own process (`ask`) passes it
the job's options, environment, working folder and standard streams, and waits for the fork's exit status. A fork that
loses its job (killed, timed out) kills itself, and its Snakemake as any job (`core/owner.py`). Of the library it has
imported what every step needs; a fork that finds a file of it changed since imports all anew: an edit counts at once.

The warm process has never started a thread nor touched CUDA, or it ends, and jobs run by themselves: so they do where
`TASKNEURONS_WARM` is `off`, on clusters, and without Unix sockets.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path

from taskneurons.core import owner

VARIABLE = "TASKNEURONS_WARM"  # off, or the path of the socket
KILLED = 128 + signal.SIGKILL
PATIENCE = 120.0  # seconds until a warm process that does not answer is given up

# Threads do not survive a fork, so that what is imported must not start any. Steps set torch's own number.
ONE_THREAD = {
    **{"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator
}

PRELOADED = (
    *("datasets", "jinja2", "matplotlib.pyplot", "pandas", "psutil", "pyarrow.parquet", "pydantic"),
    *("peft", "rouge_score.rouge_scorer", "safetensors.torch", "scipy.stats", "torch", "tqdm", "transformers"),
    *("transformers.generation.utils", "transformers.models.auto.modeling_auto"),
    *("transformers.models.auto.tokenization_auto", "transformers.models.llama.modeling_llama"),
)
# Of the library: what every step imports. Making the settings' classes takes longer than many steps do.
OF_EVERY_STEP = ("taskneurons.core.step", "taskneurons.config.settings")
LIBRARY = Path(__file__).parents[1]


def ask(options: list[str]) -> int | None:
    """Let the warm process run a job; its exit status, or None where there is no warm process to be had."""
    address = os.environ.get(VARIABLE, "off")
    if address == "off" or owner.VARIABLE not in os.environ or not hasattr(socket, "AF_UNIX"):
        return None
    connection = _connected(address)
    if connection is None:
        return None
    request = json.dumps({"options": options, "folder": str(Path.cwd()), "environment": dict(os.environ)}).encode()
    with connection:
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(1)
    return answer[0] if answer else KILLED


def _connected(address: str) -> socket.socket | None:
    """A connection to the warm process, which is started if it is not there."""
    with contextlib.suppress(OSError):
        return _connection(address)
    try:
        with Path(f"{address}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait here until the first one has started it
            with contextlib.suppress(OSError):
                return _connection(address)
            failed = Path(f"{address}.failed")
            if failed.exists():
                return None
            connection = _started(address)
            if connection is None:
                failed.touch()
                print(f"no warm process: {Path(f'{address}.log').read_text()}", file=sys.stderr)
            return connection
    except OSError:  # the folder is gone: Snakemake has ended
        return None


def _connection(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _started(address: str) -> socket.socket | None:
    runner = str(Path(__file__).parents[2] / "run_step.py")
    environment = {**os.environ, **ONE_THREAD}
    with Path(f"{address}.log").open("a") as log:
        server = subprocess.Popen(
            [sys.executable, runner, "--serve", address],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for Snakemake and its jobs
        )
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            return _connection(address)
        time.sleep(0.05)
    return None


def serve(address: str) -> None:
    """Import the packages, and fork for every job until the owner is gone."""
    library = _library()
    for module in (*PRELOADED, *OF_EVERY_STEP):
        import_module(module)
    if not _is_clean():
        sys.exit("an imported package has started a thread or touched CUDA: jobs run by themselves")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system takes ended forks away
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(128)
        while owner.is_alive(os.environ[owner.VARIABLE]):
            if not select.select([listener], [], [], 1.0)[0]:
                continue
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(connection, library)
            connection.close()
    for name in ("", ".lock", ".log"):  # where Snakemake was killed, nobody else takes them away
        Path(f"{address}{name}").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        Path(address).parent.rmdir()


def _library() -> list[tuple[str, int, int]]:
    """Path, date and size of each file of the library: by it an edit is seen."""
    return [(str(file), (found := file.stat()).st_mtime_ns, found.st_size) for file in sorted(LIBRARY.rglob("*.py"))]


def _forget_library() -> None:
    """What is imported next of the library is read anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == __package__.partition(".")[0]]:
        del sys.modules[name]


def _is_clean() -> bool:
    tasks = Path("/proc/self/task")
    threads = len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()
    return threads == 1 and not sys.modules["torch"].cuda.is_initialized()


def _run(connection: socket.socket, library: list[tuple[str, int, int]]) -> None:
    """Run a job in a fork, and end it.

    Args:
        library: as it was imported.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        size, streams, _, _ = socket.recv_fds(connection, 8, 3)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        with connection.makefile("rb") as file:
            request = json.loads(file.read(int.from_bytes(size, "big")))
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        threading.Thread(target=_die_with, args=(connection,), daemon=True).start()
        if _library() != library:
            _forget_library()
        step = import_module("taskneurons.core.step")
        step.main(request["options"])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            connection.sendall(bytes([status]))
        os._exit(status)


def _die_with(connection: socket.socket) -> None:
    """Wait for the job's own process to go away, which says nothing before it; and go too."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)
