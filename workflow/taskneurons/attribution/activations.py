"""Forward-only values of every neuron on a task's attribution examples, for the selection rules that compare them.

Columns: layer, expert, neuron, and the criteria that the rules need.
"""

from pathlib import Path

from taskneurons.attribution.measuring import CriterionSettings
from taskneurons.config.settings import DeviceSettings, Passes, StepSettings
from taskneurons.core.artifacts import write_frame
from taskneurons.core.named import named
from taskneurons.data.task import read_task
from taskneurons.models.loaded import load_model
from taskneurons.neurons.blocks import experts, widths
from taskneurons.neurons.layout import neuron_index


class ActivationsSettings(StepSettings):
    """What the values depend on; `criteria` are names of files in `criteria/`."""

    criteria: list[str]
    attribution: Passes
    compute: DeviceSettings


def main(settings: ActivationsSettings, *, model: Path, data: Path, activations: Path) -> None:
    """Write the values of a task's attribution split."""
    loaded = load_model(model, settings.compute)
    task = read_task(data)
    pairs = [example.pair for example in task.encoded(loaded.tokenizer)]
    frame = neuron_index(widths(loaded.model), experts(loaded.model))
    passes = CriterionSettings(**settings.attribution.model_dump())
    for name in settings.criteria:
        frame[name] = named("attribution.criteria", name).values(loaded, pairs, passes)
    provenance = {
        "spec": settings.spec(),
        **loaded.provenance_on(task),
        "widths": widths(loaded.model),
        "experts": experts(loaded.model),
    }
    write_frame(activations, frame, "activations", provenance)
