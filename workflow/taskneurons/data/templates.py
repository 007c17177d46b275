"""What a task's prompt template says: which columns it reads, how it is filled, and how it ends."""

from string import Formatter

from taskneurons.config.settings import PreparedTask


def template_fields(template: str) -> list[str]:
    """The columns that a prompt template names, e.g. ["premise", "hypothesis"]."""
    return [field for _, field, _, _ in Formatter().parse(template) if field is not None]


def filled(template: str, texts: dict[str, str]) -> str:
    """The template with the columns' texts in place of their names, whatever characters a name has.

    Raises:
        ValueError: the template asks for a form that texts do not have, as in "{text:d}".
    """
    parts, formatter = [], Formatter()
    for fixed, field, spec, conversion in formatter.parse(template):
        parts.append(fixed)
        if field is not None:
            parts.append(format(formatter.convert_field(texts[field], conversion), spec or ""))
    return "".join(parts)


def closing_words(template: str) -> str:
    """The fixed text behind the template's last column, which truncation never cuts (e.g. "\\nAnswer:")."""
    text, field, _, _ = list(Formatter().parse(template))[-1]
    return text if field is None else ""


def needed_columns(task: PreparedTask) -> list[str]:
    """The source columns that a task reads: its prompt's, its target and its references."""
    references = task.source.references
    columns = [*template_fields(task.prompt), task.target, *([references] if references else [])]
    return list(dict.fromkeys(columns))
