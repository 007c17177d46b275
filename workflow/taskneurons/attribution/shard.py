"""Score one shard of a task's attribution examples: the sums that `merge` makes the scores of."""

from pathlib import Path

import pandas as pd

from taskneurons.attribution.scores import AttributionSettings, score_task
from taskneurons.core.artifacts import write_frame
from taskneurons.neurons.layout import neuron_index


class ShardSettings(AttributionSettings):
    """What the sums depend on; shards are counted from 0."""

    shard: int


def main(settings: ShardSettings, *, model: Path, data: Path, means: list[Path], sums: Path) -> None:
    """Write the sums over one shard of the task's attribution split."""
    found, provenance = score_task(model, data, means, settings, settings.shard)
    columns = {"score": found.score}
    columns |= {f"replicate_{number}": row for number, row in enumerate(found.resampled)}
    frame = pd.concat([neuron_index(provenance["widths"], provenance["experts"]), pd.DataFrame(columns)], axis=1)
    write_frame(sums, frame, "score sums", {**provenance, "samples": found.samples})
