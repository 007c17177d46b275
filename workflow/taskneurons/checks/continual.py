"""What can be wrong with the section of continual learning, beyond its keys."""

from collections.abc import Iterator, Mapping
from typing import Any

from taskneurons.config.settings import Config, ContinualSection, Task
from taskneurons.core.named import constants, names

METHODS = "continual.methods"


def in_form(key: str, task: Task, section: ContinualSection) -> Task:
    """A task whose prompt has the common form, with the task's and its data set's name before it if they are told."""
    prompt = section.prompt.replace("{input}", task.prompt)
    if section.named:
        source = task.source.hub.id if task.source.hub else key
        prompt = f"Task: {task.family}\nDataset: {source}\n{prompt}"
    return task.model_copy(update={"prompt": prompt})


def continual_problems(config: Config, tasks: Mapping[str, Any], continual: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong, one sentence each.

    Args:
        tasks, continual: the tasks of the run and of continual learning that can be prepared.
    """
    section = config.continual
    if section is None:
        return
    where, known = "config: continual", names(METHODS)
    for name, method in section.methods.items():
        if name not in known:
            yield f"{where}: methods: there is no method {name!r}; there are {', '.join(known)}"
        elif method.knob is not None and method.learning_rate is None:
            yield f"{where}: methods: {name}: knob is given without learning_rate: give both, or none"
        elif method.knob is not None and constants(METHODS, name)["KNOB"] is None:
            yield f"{where}: methods: {name}: it has no knob: leave out knob: {method.knob:g}"
    yield from _problems_of_orders(section)
    if generated := [key for key, task in section.tasks.items() if not task.labels]:
        yield f"{where}: tasks: {', '.join(generated)}: accuracies need labels: take classification tasks"
    if both := [key for key in section.tasks if key in config.tasks]:
        yield f"{where}: tasks: {', '.join(both)} is a key of tasks too: take another, its prompt has another form"
    shown = {task.shown["name"]: key for key, task in tasks.items()}
    for key, task in continual.items():
        if (other := shown.get(task.shown["name"])) is not None:
            yield f"{where}: tasks: {other} and {key} have the same name, {task.shown['name']!r}: give one a name"
        shown[task.shown["name"]] = key
    if section.general is not None and section.general not in config.tasks:
        yield f"{where}: general: there is no task {section.general!r} in tasks; there are {', '.join(config.tasks)}"
    tuned = [name for name, method in section.methods.items() if method.learning_rate is None]
    few = [key for key, task in continual.items() if task.sizes.validation < section.tuning.examples]
    if tuned and few:
        yield (
            f"{where}: tuning: examples: {section.tuning.examples} is more than the "
            f"{continual[few[0]].sizes.validation} validation examples of {', '.join(few)} (continual.sizes)"
        )


def _problems_of_orders(section: ContinualSection) -> Iterator[str]:
    seen: dict[str, str] = {}
    for benchmark, orders in section.benchmarks.items():
        for order, tasks in orders.items():
            where = f"config: continual: benchmarks: {benchmark}: {order}"
            if order in seen:
                yield f"{where}: {seen[order]} has an order of this name too: rename one"
            seen[order] = benchmark
            if absent := [task for task in tasks if task not in section.tasks]:
                yield f"{where}: there is no task {', '.join(absent)} in continual.tasks"
            if len(tasks) < 2:
                yield f"{where}: a sequence has two tasks or more"
    if not seen:
        yield "config: continual: benchmarks: give at least one order"
    for name, method in section.methods.items():
        if method.orders != "all" and (unknown := [order for order in method.orders if order not in seen]):
            yield (
                f"config: continual: methods: {name}: orders: there is no order {', '.join(unknown)}; there are "
                f"{', '.join(seen)}"
            )
