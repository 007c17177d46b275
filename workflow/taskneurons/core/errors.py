"""The one error that is meant for the person at the keyboard."""

from pathlib import Path


class UserError(Exception):
    """Something that the user can mend: the message says what was wrong, the value seen, and what to do."""


class DamagedError(UserError):
    """An artifact whose content is not what was written.

    Attributes:
        artifact: the file, or the model's folder.
    """

    def __init__(self, artifact: Path, message: str) -> None:
        super().__init__(message)
        self.artifact = artifact
