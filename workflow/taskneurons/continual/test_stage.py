"""Test a sequence after one of its stages: its row of the accuracy matrix, and the model's general ability.

One row an example: task, when (after the stage; before: the stage's own task, before it was learnt), measure (label:
1 where the best-scored label is right; exact_match: 1 where the greedy answer is the label's word; general: the loss
on a plain text, in nats, of task ""), id, value, routed (the task for which the method took the input; "" where it does
not choose).
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from taskneurons.config.settings import Evaluation, Passes
from taskneurons.continual.method import State
from taskneurons.continual.stages import STATE, StageSettings, splits_of
from taskneurons.core.artifacts import write_frame
from taskneurons.data.labels import label_tokens
from taskneurons.data.task import Task
from taskneurons.deactivation.target_losses import target_losses
from taskneurons.evaluation.classification import label_scores
from taskneurons.evaluation.generation import generate
from taskneurons.models.loaded import LoadedModel, load_model
from taskneurons.models.tensors_file import read_tensors

TESTED = "tested stage"
AFTER, BEFORE = "after", "before"
LABEL, EXACT_MATCH, GENERAL = "label", "exact_match", "general"


class TestedSettings(StageSettings):
    """What the measures depend on.

    Attributes:
        evaluation: batches, and how a label is scored.
        exact_match: whether answers are generated too.
        texts: so many plain texts.
        passes: batches of plain texts.
    """

    __test__ = False  # it is no test class of pytest

    evaluation: Evaluation
    exact_match: bool
    texts: int
    passes: Passes


Scored = Callable[[list[int]], list[float]]


def by_groups(
    settings: StageSettings, state: State, prompts: list[list[int]], task: str | None, scored: dict[str, Scored]
) -> pd.DataFrame:
    """The values of some prompts: measure, id, value, routed; the method puts the model into the state for each.

    Args:
        task: the task's key, which the method is told if it needs it.
        scored: measure → the values of the prompts of some rows, by the model as it stands.
    """
    frames = []
    module = settings.module
    for rows, name in module.answering(state, prompts, task if module.NEEDS_TASK_ID else None):
        frames += [
            pd.DataFrame({"measure": measure, "id": rows, "value": of(rows), "routed": name})
            for measure, of in scored.items()
        ]
    return pd.concat(frames).sort_values(["measure", "id"], ignore_index=True)


def right_labels(base: LoadedModel, task: Task, prompts: list[list[int]], evaluation: Evaluation) -> Scored:
    """1 where the best-scored label is right."""
    labels = label_tokens(base.tokenizer, task)

    def of(rows: list[int]) -> list[float]:
        chosen = [prompts[row] for row in rows]
        scores = label_scores(base, chosen, labels, evaluation.batch_size, evaluation.label_score, task.key)
        words = [task.label_words[number] for number in scores.argmax(dim=1).tolist()]
        return [float(word == task.targets[row]) for word, row in zip(words, rows, strict=True)]

    return of


def right_answers(base: LoadedModel, task: Task, prompts: list[list[int]], evaluation: Evaluation) -> Scored:
    """1 where the greedy answer is the label's word."""
    longest = max(map(len, label_tokens(base.tokenizer, task))) + 1  # an answer that goes on is wrong

    def of(rows: list[int]) -> list[float]:
        answers = generate(base, [prompts[row] for row in rows], longest, evaluation.batch_size, task.key)
        return [float(answer == task.targets[row]) for answer, row in zip(answers, rows, strict=True)]

    return of


def measures(settings: TestedSettings, state: State, task: Task) -> pd.DataFrame:
    """A task's rows, without `when`."""
    prompts = [example.prompt for example in task.encoded(state.base.tokenizer)]
    measured = {LABEL: right_labels} | ({EXACT_MATCH: right_answers} if settings.exact_match else {})
    scored = {measure: of(state.base, task, prompts, settings.evaluation) for measure, of in measured.items()}
    return by_groups(settings, state, prompts, task.key, scored).assign(task=task.key)


def plain_texts(base: LoadedModel, task: Task, number: int) -> list[list[int]]:
    """The prompts of a task's first examples, as plain texts."""
    return [example.prompt for example in task.encoded(base.tokenizer)[:number]]


def text_losses(base: LoadedModel, texts: list[list[int]], passes: Passes) -> Scored:
    """The mean loss of a text's tokens, in nats."""
    return lambda rows: target_losses(base, [([], texts[row]) for row in rows], passes, "plain text")


def main(
    settings: TestedSettings, *, base: Path, tests: list[Path], kept: list[Path], general: list[Path], tested: Path
) -> None:
    """Test a stage.

    Args:
        base: the base model's folder.
        tests: the test splits of the sequence's tasks.
        kept: what its stages kept, in their order; the last alone where the method needs no other.
        general: the test split whose prompts are the plain texts, if there is one.
        tested: to write.
    """
    loaded = load_model(base, settings.compute)
    read = [read_tensors(path, STATE) for path in kept]
    made = read[-1][1]
    learnt = State(loaded, settings.tasks, [tensors for tensors, _ in read], settings.of_method(made["knob"]))
    tasks = splits_of(tests)
    frames = [measures(settings, learnt, tasks[task]).assign(when=AFTER) for task in settings.tasks]
    if (before := _before(settings, learnt)) is not None:
        frames.append(measures(settings, before, tasks[settings.tasks[-1]]).assign(when=BEFORE))
    if general and not settings.module.NEEDS_TASK_ID:
        texts = plain_texts(loaded, splits_of(general).popitem()[1], settings.texts)
        losses = by_groups(settings, learnt, texts, None, {GENERAL: text_losses(loaded, texts, settings.passes)})
        frames.append(losses.assign(task="", when=AFTER))
    module = settings.module
    said = {name: made[name] for name in ("method", "sequence", "seed", "learning_rate", "knob", "dtype")}
    said |= {"sequence": settings.tasks, "needs_task_id": module.NEEDS_TASK_ID}
    said["keeps_examples"] = "earlier examples" in module.NEEDS
    write_frame(tested, pd.concat(frames, ignore_index=True), TESTED, {"spec": settings.spec(), **said})


def _before(settings: TestedSettings, learnt: State) -> State | None:
    """The state before the last stage; None where there is none, or none that can answer for a task to come."""
    if len(learnt.kept) < 2 or settings.module.NEEDS_TASK_ID:
        return None
    return State(learnt.base, learnt.tasks[:-1], learnt.kept[:-1], learnt.settings)
