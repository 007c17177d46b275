"""Fine-tune the base model on one task alone: the paper's M_i of Figure 3 and Table 4 (section 3)."""

from pathlib import Path

from taskneurons.training.multitask import FineTuningSettings, fine_tune


def main(
    settings: FineTuningSettings,
    *,
    base: Path,
    data: Path,
    validation: list[Path],
    checkpoint: Path,
    metrics: Path,
    model: Path,
) -> None:
    """Fine-tune all parameters of the base model on one task.

    Args:
        data: the task's train split, all of which the training sees.
        validation: its validation split, where the training watches it.
        checkpoint, metrics, model: as in `fine_tune`.
    """
    fine_tune(
        settings,
        "single-task",
        base=base,
        data=[data],
        validation=validation,
        checkpoint=checkpoint,
        metrics=metrics,
        model=model,
    )
