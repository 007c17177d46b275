"""What each step asks of its model, in tokens, from a job's spec and the names of its files alone.

A function for each step, by the step's name. Counts are those of the config: examples as the splits should have them,
learning rates as the grids have them, and texts as long as the budgets let them be (`needs.py` knows that they are
shorter).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from taskneurons.core.named import constants


@dataclass(frozen=True)
class Split:
    """A split of a task, before it is made.

    Attributes:
        examples: how many there should be.
        prompt, target: the most tokens of either.
        generated: whether its task is answered by generated text, not by label words.
    """

    examples: int
    prompt: int
    target: int
    generated: bool

    @property
    def tokens(self) -> int:
        """The most tokens of an example."""
        return self.prompt + self.target


@dataclass(frozen=True)
class Work:
    """What a job does with its model.

    Attributes:
        forward: tokens that go through it without gradients.
        scored: tokens that go through it and back, to its neurons' outputs.
        tuned: tokens from which chosen neurons, prefixes or adapters learn.
        trained: tokens from which the whole model learns.
        generated: tokens that are generated, one after the other.
        batch: the most tokens in it at once, without gradients.
        back: the most tokens in it at once, with gradients.
        targets: of those of `back` or `batch`, the most whose next token is predicted.
        share: of the parameters that neurons own, the most that are trained at once.
        loads: models whose weights are read, all of them open at once.
        imports: 0, or the bytes a parameter that importing the base model takes: its stored weights, or a GGUF file's
            with what is made of them.
        tables: of one value a neuron and task, that are held at once.
        wide: it computes in float32, whatever the config says.
    """

    forward: float = 0
    scored: float = 0
    tuned: float = 0
    trained: float = 0
    generated: float = 0
    batch: float = 0
    back: float = 0
    targets: float = 0
    share: float = 0
    loads: int = 1
    imports: int = 0
    tables: int = 0
    wide: bool = False

    def __add__(self, other: "Work") -> "Work":
        """Both, one after the other, with the model loaded once."""
        both = [(name, getattr(self, name), getattr(other, name)) for name in vars(self)]
        return Work(**{name: one + two if name in TOKENS else max(one, two) for name, one, two in both})

    def times(self, number: float) -> "Work":
        """The same so many times."""
        return replace(self, **{name: number * getattr(self, name) for name in TOKENS})


TOKENS = ("forward", "scored", "tuned", "trained", "generated")  # what adds up; of the rest the most counts
NOTHING = Work(loads=0)
LABEL_TOKENS = 3  # of a label word
ADAPTERS = 0.01  # as much as a LoRA of fixed size or a prefix, at most, of what neurons own


@dataclass(frozen=True)
class Job:
    """A job before it runs: what its step will be called with.

    Attributes:
        spec: as the step gets it.
        files: keyword → paths that it reads.
        outputs: keyword → paths that it writes.
        split: path of a prepared split → what it should hold.
    """

    spec: Mapping[str, Any]
    files: Mapping[str, list[str]]
    outputs: Mapping[str, list[str]]
    split: Callable[[str], Split]

    def splits(self, *keywords: str) -> list[Split]:
        """The splits under some keywords."""
        return [self.split(path) for keyword in keywords for path in self.files.get(keyword, [])]

    def number(self, *keywords: str) -> int:
        """How many files there are under some keywords."""
        return sum(len(self.files.get(keyword, [])) for keyword in keywords)


# ---- passes over splits ----


def losses(splits: list[Split], examples: int, passes: Mapping[str, Any]) -> Work:
    """One forward pass over the first examples of some splits."""
    found = NOTHING
    for split in splits:
        number = min(examples, split.examples)
        at_once = min(number, passes["batch_size"], max(1, passes.get("batch_tokens", 10**9) // split.tokens))
        found += Work(
            forward=number * split.tokens, batch=at_once * split.tokens, targets=at_once * split.target, loads=0
        )
    return found


def scoring(splits: list[Split], examples: int, passes: Mapping[str, Any]) -> Work:
    """One forward and backward pass to the neurons' outputs."""
    one = losses(splits, examples, passes)
    return Work(scored=one.forward, back=one.batch, targets=one.targets, loads=0)


def answers(splits: list[Split], examples: int, evaluation: Mapping[str, Any]) -> Work:
    """Answers to the first examples: label words by likelihood, or generated texts."""
    found = NOTHING
    for split in splits:
        number = min(examples, split.examples)
        at_once = min(number, evaluation["batch_size"])
        made = number * split.target if split.generated else 0
        found += Work(
            forward=number * split.prompt, generated=made, batch=at_once * split.tokens, targets=at_once, loads=0
        )
    return found


def training(splits: list[Split], settings: Mapping[str, Any], examples: int = 0, validation: int = 0) -> Work:
    """The tokens of a training on some splits together, as `trained`."""
    of_each = [min(examples or split.examples, split.examples) for split in splits]
    longest = max(split.tokens for split in splits)
    at_once = min(settings["batch_size"], max(1, settings["batch_tokens"] // longest))
    learnt = sum(number * split.tokens for number, split in zip(of_each, splits, strict=True))
    return Work(
        trained=settings["epochs"] * learnt,
        forward=settings["epochs"] * validation * longest * len(splits),
        back=at_once * longest,
        targets=at_once * max(split.target for split in splits),
        loads=0,
    )


def tuning(share: float, splits: list[Split], settings: Mapping[str, Any], examples: int = 0, watched: int = 0) -> Work:
    """A training of a share of the neurons."""
    whole = training(splits, settings, examples, watched)
    return replace(whole, tuned=whole.trained, trained=0, share=share)


def rates(search: Mapping[str, Any]) -> int:
    """How many learning rates a search tries: the grid, and one beyond it."""
    return len(search["grid"]) + min(1, search["extensions"])


# ---- steps ----

MODEL = Work()  # the model is loaded, or written


def pretrain(job: Job) -> Work:
    return MODEL + training(job.splits("text"), job.spec["training"])


def multitask(job: Job) -> Work:
    settings = job.spec["training"]
    return MODEL + training(job.splits("data"), settings, validation=settings["validation"])


def scores(job: Job) -> Work:
    return MODEL + scoring(job.splits("data"), 10**9, job.spec["attribution"])


def all_outputs(job: Job) -> Work:
    return MODEL + losses(job.splits("data"), 10**9, job.spec["attribution"])


def zero_shot(job: Job) -> Work:
    return MODEL + answers(job.splits("data"), 10**9, job.spec["evaluation"])


def deactivation(job: Job) -> Work:
    """The task as it is, without its own and without random neurons; and some examples without other tasks'."""
    others = len(job.spec["tasks"]) - 1
    evaluation, data = job.spec["evaluation"], job.splits("data")
    whole = answers(data, 10**9, evaluation).times(1 + job.number("masks") - others)
    return MODEL + whole + answers(data, evaluation["cross_task_examples"], evaluation).times(others)


def damage(job: Job) -> Work:
    """Losses with sets off, and the scores of some of them, for at most two sets of one task."""
    data, examples, evaluation = job.splits("data"), job.spec["damage"], job.spec["evaluation"]
    found = losses(data, examples["examples"], _passes(job)).times(1 + _masks_and_ablations(job))
    scored = sum(map(len, examples.get("scored", {}).values()))
    return MODEL + found + answers(data, examples.get("scored_examples", 0), evaluation).times(scored)


def _passes(job: Job) -> dict[str, int]:
    """The batches of a step that takes the evaluation's examples and the attribution's tokens."""
    return {"batch_size": job.spec["evaluation"]["batch_size"], "batch_tokens": job.spec["batch_tokens"]}


def _masks_and_ablations(job: Job) -> int:
    """Sets of equal own damage have one ablation each."""
    equal = sum("equal" in path for path in job.files.get("masks", []))
    return equal + (job.number("masks") - equal) * len(job.spec["ablations"])


def own_damage(job: Job) -> Work:
    sets = len(job.spec["rules"]) * 2 * len(job.spec["grid"])  # two references
    return MODEL + losses(job.splits("data"), job.spec["examples"], job.spec["passes"]).times(1 + 2 * sets)


def faithfulness(job: Job) -> Work:
    """The exact effect of each sampled neuron, each criterion once, and the steps of integrated gradients."""
    wanted, data, passes = job.spec["faithfulness"], job.splits("data"), job.spec["attribution"]
    exact = losses(data, wanted["examples"], passes).times(wanted["neurons"])
    criteria = len(job.spec["criteria"]) + wanted["steps"] * wanted["layers"]
    return replace(MODEL + exact + scoring(data, wanted["examples"], passes).times(criteria), wide=True)


def set_effects(job: Job) -> Work:
    """Growing sets by two rules, random and contrastive, off and kept, under both ablations."""
    wanted, data, passes = job.spec["set_faithfulness"], job.splits("data"), job.spec["passes"]
    sets = 1 + len(wanted["shares"]) * (len(job.spec["rules"]) + 2 * wanted["random_draws"])
    effects = losses(data, wanted["examples"], passes).times(2 * 2 * sets)
    return replace(MODEL + effects + scoring(data, wanted["examples"], passes).times(2), wide=True)


def rate_search(job: Job) -> Work:
    data, settings = job.splits("data"), job.spec["training"]
    each = [tuning(0.1, [one], settings, job.spec["examples"], settings["validation"]) for one in data]
    return MODEL + sum(each, NOTHING).times(rates(job.spec["rates"]) * job.number("masks") / len(data))


MASKS = ("own", "contrastive", "random", "other_family", "without_universal", "crossed")


def tune(job: Job) -> Work:
    """Every set at one rate or two, with the validation loss at the points of the curve."""
    settings = job.spec["training"]
    each = tuning(0.1, job.splits("data"), settings, job.spec["examples"], settings["validation"] * job.spec["curve"])
    return MODEL + each.times(job.number(*MASKS) * (1 if job.spec["common"] is None else 2))


def tuned_answers(job: Job) -> Work:
    """Deltas of the task's own data on all examples, those of others on some."""
    evaluation, data = job.spec["evaluation"], job.splits("data")
    task = job.spec["wildcards"]["task"]
    own = sum(f"/{task}-" in path for path in job.files["deltas"])
    crossed = answers(data, evaluation["cross_task_examples"], evaluation).times(job.number("deltas") - own)
    return MODEL + answers(data, 10**9, evaluation).times(own) + crossed


def sweep_rates(job: Job) -> Work:
    settings = job.spec["training"]
    each = tuning(1, job.splits("data"), settings, job.spec["train_examples"], settings["validation"])
    return MODEL + each.times(rates(job.spec["rates"]) * len(job.spec["percents"]))


def proportion_sweep(job: Job) -> Work:
    return MODEL + _group(job, 1).times(len(job.spec["percents"]))


def overlap_ablation(job: Job) -> Work:
    """The natural cell, and draws of every share with three kinds of sets."""
    cells = 1 + 3 * len(job.spec["shares"]) * job.spec["draws"]
    return MODEL + _group(job, job.spec["trained"] / 100).times(cells)


def _group(job: Job, share: float) -> Work:
    """A training of a group's neurons and the measures on the tests."""
    spec, tests = job.spec, job.splits("tests")
    trained = tuning(share, job.splits("data"), spec["training"], spec["train_examples"])
    return (
        trained
        + losses(tests, spec["examples"], _passes(job))
        + answers(tests, spec["scored_examples"], spec["evaluation"])
    )


def tested_models(job: Job) -> Work:
    spec, data = job.spec, job.splits("data")
    some = data[: len(spec["scored"])]
    return (
        MODEL
        + losses(data, spec["examples"], _passes(job))
        + answers(some, spec["scored_examples"], spec["evaluation"])
    )


def transfer(job: Job) -> Work:
    passes = job.spec["passes"]
    return (
        MODEL
        + losses(job.splits("data"), job.spec["examples"], passes)
        + losses(job.splits("probes"), job.spec["probes"], passes)
    )


def probes(job: Job) -> Work:
    """Features and activations; and single examples back to the parameters, whose sketches take as long again."""
    data, examples, passes = job.splits("data"), job.spec["examples"], job.spec["passes"]
    gradients = scoring(data, examples, {**passes, "batch_size": 1}).times(2)
    return MODEL + losses(data, examples, passes).times(2) + gradients


def similarity(job: Job) -> Work:
    """The mean vector of a set is a token's pass through the FFN: four sets a pair of tasks and draw."""
    pairs = sum(one != other for one in job.spec["first"] for other in job.spec["second"])
    drawn = 1 + job.spec["draws"]
    return MODEL + Work(forward=4 * pairs * drawn, batch=drawn, loads=0)


def task_vectors(job: Job) -> Work:
    return Work(loads=1 + job.number("models"))


def learn_stage(job: Job) -> Work:
    return MODEL + _stage(job)


def _stage(job: Job) -> Work:
    settings, data, share = job.spec["training"], job.splits("data"), kept_share(job)
    return training(data, settings) if share is None else tuning(share, data, settings)


def kept_share(job: Job) -> float | None:
    """What a stage trains and keeps: of the neurons' parameters so large a share, or all the model's parameters."""
    if _trains(job.spec["method"]) == "all parameters":
        return None
    return ADAPTERS if job.spec["percent"] is None else job.spec["percent"] / 100


@cache
def _trains(method: str) -> str:
    """What a method trains, by its file, of which a run has hundreds of jobs."""
    return constants("continual.methods", method)["TRAINS"]


def tune_method(job: Job) -> Work:
    spec, watched = job.spec, job.splits("validation")
    tries = rates(spec["search"]) + spec["further"]
    tested = answers(watched, spec["examples"], spec["evaluation"])
    return MODEL + (_stage(job) + tested).times(tries)


def test_stage(job: Job) -> Work:
    """All tasks so far, the last one before it was learnt, and plain texts; answers may be generated too."""
    spec, tests = job.spec, job.splits("tests")
    last = tests[-1:] if len(tests) > 1 else []
    each = answers([*tests, *last], 10**9, spec["evaluation"])
    generated = sum(split.examples * split.target for split in [*tests, *last]) if spec.get("exact_match", True) else 0
    return MODEL + each + Work(generated=generated) + losses(job.splits("general"), spec["texts"], spec["passes"])


def without_model(job: Job) -> Work:
    return replace(NOTHING, tables=job.number("scores", "scores_from_mean", "activations", "sums"))


def import_base(job: Job) -> Work:
    return Work(imports=8 if job.spec["source"]["gguf"] else 4)


STEPS: dict[str, Callable[[Job], Work]] = {
    "data.prepare": without_model,
    "data.pretraining_text": without_model,
    "models.import_base": import_base,
    "training.pretrain": pretrain,
    "training.multitask": multitask,
    "training.single_task": multitask,
    "attribution.scores": scores,
    "attribution.shard": scores,  # at most
    "attribution.merge": without_model,
    "attribution.mean_outputs": all_outputs,
    "attribution.activations": all_outputs,
    "selection.select": without_model,
    "selection.random_sets": without_model,
    "selection.equal_damage": without_model,
    "evaluation.zero_shot": zero_shot,
    "deactivation.evaluate": deactivation,
    "deactivation.damage": damage,
    "deactivation.own_damage": own_damage,
    "deactivation.faithfulness": faithfulness,
    "deactivation.set_effects": set_effects,
    "tuning.rate_search": rate_search,
    "tuning.tune": tune,
    "tuning.evaluate": tuned_answers,
    "generalisation.sweep_rates": sweep_rates,
    "generalisation.proportion_sweep": proportion_sweep,
    "generalisation.overlap_ablation": overlap_ablation,
    "generalisation.similarity": similarity,
    "generalisation.tested_models": tested_models,
    "generalisation.transfer": transfer,
    "generalisation.probes": probes,
    "generalisation.task_vectors": task_vectors,
    "continual.tune_method": tune_method,
    "continual.learn_stage": learn_stage,
    "continual.test_stage": test_stage,
    "continual.untrained": test_stage,
    "tables.write": without_model,
    "figures.draw": without_model,
    "report.page": without_model,
}
