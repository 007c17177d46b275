"""What one process found out and the next need not: small files in the user's cache folder.

It saves time and nothing else: where the folder cannot be read or written, all is found out anew.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def recall(*names: str) -> Any:
    """What was kept under these names, as JSON has it; None where nothing was, or it is damaged."""
    try:
        return json.loads(_file(names).read_text())
    except (OSError, ValueError):
        return None


def keep(found: Any, *names: str) -> None:
    """Keep what JSON can hold under these names."""
    path = _file(names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(found, file)
        Path(file.name).replace(path)
    except OSError:
        pass


def _file(names: tuple[str, ...]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "taskneurons" / hashlib.blake2b("\0".join(names).encode(), digest_size=12).hexdigest()
