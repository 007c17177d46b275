"""The mean output ω̄ of every neuron over the attribution examples of all tasks (`neurons/mean_outputs.py`).

Columns: layer, expert, neuron, mean (of the tasks' means, weighted alike) and n_tokens. Prompts and targets count,
padding and sinks do not; in a mixture a neuron's tokens are those that are routed to its expert, and ω is taken before
the routing weight, as scores take it. Tasks that route no token to an expert have no say in its neurons' means.

The provenance says how much of the sinks lie where `neurons/sinks.py` looks for them: `massive_sinks`, the share of
sinks, and `massive_others`, that of other tokens, whose residual state reaches MASSIVE times the median of its sample.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from taskneurons.attribution.products import batch_results
from taskneurons.config.settings import DeviceSettings, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.data.encoding import Batch, Pair, at_least_float32
from taskneurons.data.task import read_task
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.neurons.blocks import Site, blocks, experts, frozen, layers, visiting_outputs, widths
from taskneurons.neurons.layout import neuron_index
from taskneurons.neurons.mean_outputs import KIND
from taskneurons.neurons.sinks import sinks

MASSIVE = 30  # in SmolLM2-135M first tokens reach 158 to 172 times the median, others 12 at most

log = logging.getLogger(__name__)


class MeanOutputsSettings(StepSettings):
    """What the means depend on."""

    attribution: Passes
    compute: DeviceSettings


@torch.no_grad()
def sums_of_outputs(loaded: LoadedModel, batch: Batch) -> torch.Tensor:
    """Σ ω of each sample's tokens that count, and how many those are: (B, 2, n_neurons), float64, on the CPU."""
    samples, tokens = batch.input_ids.shape
    counted = ((batch.attention_mask == 1) & ~sinks(batch.attention_mask)).unsqueeze(-1)  # (B, T, 1)
    sizes = [block.width for block in blocks(loaded.model)]
    found = [torch.zeros(samples, 2, size, dtype=torch.float64) for size in sizes]

    def take(site: Site, omega: torch.Tensor) -> torch.Tensor:
        wide = site.by_sample(at_least_float32(omega), samples, tokens)
        routed = torch.ones_like(omega[..., :1], dtype=wide.dtype)
        mask = counted.to(wide.device) * site.by_sample(routed, samples, tokens)
        found[site.block][:, 0] = (wide * mask).sum(dim=1).cpu().double()
        found[site.block][:, 1] = mask.sum(dim=1).cpu().double()
        return omega

    with visiting_outputs(loaded.model, take), loaded.compute.autocast():
        loaded.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, logits_to_keep=1, use_cache=False)
    return torch.cat(found, dim=-1)


@contextmanager
def state_norms(loaded: LoadedModel) -> Iterator[list[torch.Tensor]]:
    """Collect the norms (B, T) of the residual states behind each layer from the forward pass of the block."""
    found: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        state = output[0] if isinstance(output, tuple) else output
        found.append(at_least_float32(state).norm(dim=-1).cpu())

    with ExitStack() as stack:
        for layer in layers(loaded.model):
            stack.callback(layer.register_forward_hook(keep).remove)
        yield found


def massive_tokens(norms: list[torch.Tensor], attention_mask: torch.Tensor) -> torch.Tensor:
    """Which tokens' states reach MASSIVE times the median of their sample's behind some layer: bool (B, T).

    Args:
        norms: (B, T) behind each layer.
        attention_mask: (B, T), on the CPU.
    """
    attended = attention_mask == 1
    massive = torch.zeros_like(attended)
    for norm in norms:
        medians = norm.masked_fill(~attended, torch.nan).nanmedian(dim=1, keepdim=True).values
        massive |= (norm >= MASSIVE * medians) & attended
    return massive


class MassiveTokens:
    """How many sinks, and how many other tokens, have massive states."""

    def __init__(self) -> None:
        self.massive = np.zeros(2)
        self.tokens = np.zeros(2)

    def count(self, norms: list[torch.Tensor], attention_mask: torch.Tensor) -> None:
        """Add the tokens of a batch."""
        mask = attention_mask.cpu()
        massive, first = massive_tokens(norms, mask), sinks(mask)
        for place, tokens in enumerate((first, (mask == 1) & ~first)):
            self.massive[place] += int((massive & tokens).sum())
            self.tokens[place] += int(tokens.sum())

    def shares(self) -> dict[str, float]:
        """The shares among the sinks and among the other tokens."""
        found = (self.massive / np.maximum(1, self.tokens)).tolist()
        return dict(zip(("massive_sinks", "massive_others"), found, strict=True))


def task_means(
    loaded: LoadedModel, pairs: list[Pair], passes: Passes, task: str, seen: MassiveTokens
) -> tuple[np.ndarray, np.ndarray]:
    """A task's mean outputs (0 where no token counts), and how many tokens count: (n_neurons,) each.

    Args:
        seen: what it counts massive tokens in.
    """

    def measure(batch: Batch) -> torch.Tensor:
        with state_norms(loaded) as norms:
            sums = sums_of_outputs(loaded, batch)
        seen.count(norms, batch.attention_mask)
        return sums

    total = np.zeros((2, sum(widths(loaded.model))))
    with frozen(loaded.model):
        for _, sums in batch_results(loaded, pairs, passes, measure, f"mean outputs {task}"):
            total += sums.sum(dim=0).numpy()
    return total[0] / np.maximum(1, total[1]), total[1]


def mean_over_tasks(means: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The mean over the tasks that have tokens, weighted alike; 0 where none has: (n_neurons,).

    Args:
        means, tokens: (n_tasks, n_neurons) each.
    """
    has = tokens > 0
    return np.where(has, means, 0).sum(axis=0) / np.maximum(1, has.sum(axis=0))


def main(settings: MeanOutputsSettings, *, model: Path, data: list[Path], means: Path) -> None:
    """Write the mean outputs of a model.

    Args:
        data: the attribution splits of all tasks.
    """
    loaded = load_model(model, settings.compute)
    seen = MassiveTokens()
    found = []
    for path in data:
        task = read_task(path)
        pairs = [example.pair for example in task.encoded(loaded.tokenizer)]
        found.append(task_means(loaded, pairs, settings.attribution, task.key, seen))
    of_tasks, tokens = (np.stack(part) for part in zip(*found, strict=True))
    frame = neuron_index(widths(loaded.model), experts(loaded.model))
    frame["mean"] = mean_over_tasks(of_tasks, tokens)
    frame["n_tokens"] = tokens.sum(axis=0).astype(int)
    shares = seen.shares()
    if shares["massive_others"] > 0:
        log.warning(
            "%.2g %% of the tokens that are not a text's first one have residual states as large as an attention "
            "sink's: mean ablation takes them for usual tokens (neurons/sinks.py)",
            100 * shares["massive_others"],
        )
    provenance = {
        "spec": settings.spec(),
        "model": loaded.identity,
        "state": loaded.provenance.get("state"),
        "seed": loaded.provenance.get("seed"),
        "widths": widths(loaded.model),
        "experts": experts(loaded.model),
        **shares,
    }
    write_frame(means, frame, KIND, provenance)
