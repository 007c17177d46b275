"""Answers are made of finite logits only: those of a broken model would look like plausible ones."""

import torch

from taskneurons.core.errors import UserError


def check_finite(values: torch.Tensor, task: str) -> None:
    """Raise a UserError that names the task unless all values, made of the model's logits, are finite."""
    if not values.isfinite().all():
        raise UserError(
            f"{task}: the model's logits are NaN or infinite: look at the history of its training (loss, gradient "
            "norm: a "
            "smaller learning rate may help), and at compute.dtype (float16 has a small range)"
        )
