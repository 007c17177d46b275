"""What the findings share: how numbers and verdicts are told."""

import pandas as pd

Tables = dict[str, pd.DataFrame]


def interval(row: pd.Series, value: str = "value", digits: int = 1) -> str:
    return "{:+.{digits}f} [{:+.{digits}f}, {:+.{digits}f}]".format(
        *(row[column] for column in (value, "ci_low", "ci_high")), digits=digits
    )


def verdict(row: pd.Series, more: str, less: str, open_: str) -> str:
    """Which of three words an interval allows."""
    return more if row["ci_low"] > 0 else less if row["ci_high"] < 0 else open_


def with_interval(row: pd.Series, name: str) -> str:
    """A value of a row with its interval; a dash where it has none."""
    if pd.isna(row[name]):
        return "–"
    if pd.isna(row[f"{name}_ci_low"]):
        return f"{row[name]:.2f} (no interval)"
    value, low, high = (round(row[f"{name}{end}"], 2) + 0 for end in ("", "_ci_low", "_ci_high"))  # no -0.00
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def limits(row: pd.Series) -> str:
    interval = "" if pd.isna(row["ci_low"]) else f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"{row['value']:.2f}{interval}"


def numbered(number: float, noun: str) -> str:
    return f"{number:.0f} {noun}{'' if number == 1 else 's'}"
