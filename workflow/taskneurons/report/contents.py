"""The contents of the report, in its order: every table and figure, declared once.

From here come the rules that make them (`table_<name>`, `figure_<name>`), what those depend on, the report's order,
and the README's list. A table is a module `tables/<name>.py` with `rows`, a caption `workflow/report/<name>.rst`, and,
where it has a figure, a module `figures/<name>.py` with `draw`.
"""

from dataclasses import dataclass

from taskneurons.config.settings import Config, percent_text

INTERVALS = ("tables.bootstrap", "tables.confidence")
CROSSED = (*INTERVALS, "evaluation.cross_task_examples")

# What a table may need of a config → why it is left out without it.
NEEDS = {
    "neuron tuning": "neuron_tuning is null",
    "proportions": "neuron_tuning.proportions is null",
    "several tasks": "there is one task alone",
    "groups": "groups names no training and test tasks",
    "proportion sweep": "generalisation.proportions is null",
    "overlap ablation": "generalisation.overlap_ablation is null",
    "similarity": "generalisation.similarity is null",
    "transfer": "generalisation.transfer is null",
    "continual": "continual is null",
    "continual tuning": "continual gives the learning rates of all methods",
}


# What a table may need of the section generalisation → its key there.
GENERALISATION = {
    "proportion sweep": "proportions",
    "overlap ablation": "overlap_ablation",
    "similarity": "similarity",
    "transfer": "transfer",
}


@dataclass(frozen=True)
class Table:
    """A table, and perhaps its figure.

    Attributes:
        name: of its module, its target, its files and its caption.
        shows: what it shows, in a line.
        inputs: the kinds of files that its `rows` takes, by keyword (`workflow/rules/table_inputs.smk` says which).
        fields: what it uses of every task's config entry.
        config: the other keys of the config that it uses.
        published: the file in `workflow/published/` with the paper's figures, if it shows any.
        figure: whether it has a figure of the same name.
        figure_of: other tables that the figure draws, before its own.
        needs: keys of NEEDS.
    """

    name: str
    shows: str
    inputs: tuple[str, ...]
    fields: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    published: str | None = None
    figure: bool = False
    figure_of: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def targets(self) -> list[str]:
        """The names of its rules."""
        return [f"table_{self.name}", *([f"figure_{self.name}"] if self.figure else [])]


TABLES = [
    Table(
        "deactivation",
        "Tables 1 and 6: original, random neurons off, own neurons off",
        inputs=("original_predictions",),
        fields=("name", "metric", "counterpart"),
        config=(*INTERVALS, "model.name"),
        published="deactivation",
        figure=True,
    ),
    Table(
        "deactivation_means",
        "means of deactivation over classification and generation",
        inputs=("original_predictions",),
        fields=("metric", "counterpart"),
        config=(*INTERVALS, "model.name"),
        published="deactivation",
    ),
    Table(
        "deactivation_effect",
        "how much more a task's own neurons matter than random ones, with intervals",
        inputs=("original_predictions",),
        fields=("name", "metric"),
        config=INTERVALS,
    ),
    Table(
        "specificity",
        "own sets against other tasks', by ablation, reference, rule and matching",
        inputs=("specificity",),
        fields=("family",),
        config=(*INTERVALS, "selection.scope"),
        figure=True,
        needs=("several tasks",),
    ),
    Table(
        "universal_neurons",
        "the neurons in at least half of all tasks' top k",
        inputs=("masks", "means"),
        config=("selection.k", "attribution.reference"),
        needs=("several tasks",),
    ),
    Table(
        "neuron_tuning",
        "Tables 2 and 7: zero-shot, random neurons trained, own neurons trained, and other control sets",
        inputs=("base_predictions", "tuned_predictions"),
        fields=("name", "metric", "counterpart"),
        config=(*INTERVALS, "model.name"),
        published="neuron_tuning",
        figure=True,
        needs=("neuron tuning",),
    ),
    Table(
        "neuron_tuning_means",
        "means of neuron_tuning over classification and generation",
        inputs=("base_predictions", "tuned_predictions"),
        fields=("metric", "counterpart"),
        config=(*INTERVALS, "model.name"),
        published="neuron_tuning",
        needs=("neuron tuning",),
    ),
    Table(
        "neuron_tuning_effect",
        "how much more training a task's own neurons brings than training random ones and other control sets",
        inputs=("tuned_predictions",),
        fields=("name", "metric"),
        config=(*INTERVALS, "selection.k", "neuron_tuning.training.epochs"),
        needs=("neuron tuning",),
    ),
    Table(
        "tuning_budget",
        "how much better than random ones own neurons learn, by learning rate, steps and k",
        inputs=("curves",),
        config=(*INTERVALS, "selection.k"),
        figure=True,
        needs=("neuron tuning",),
    ),
    Table(
        "learning_rates",
        "the learning rates of neuron tuning: tried, and chosen by validation loss",
        inputs=("learning_rates",),
        fields=("name",),
        needs=("neuron tuning",),
    ),
    Table(
        "cross_task_deactivation",
        "Figure 5: every task with every task's neurons off",
        inputs=("original_predictions",),
        fields=("name", "metric"),
        config=CROSSED,
        figure=True,
        needs=("several tasks",),
    ),
    Table(
        "cross_task_tuning",
        "Figure 5, all four panels: every task after training every task's neurons",
        inputs=("base_predictions", "tuned_predictions"),
        fields=("name", "metric"),
        config=CROSSED,
        figure=True,
        figure_of=("cross_task_deactivation",),
        needs=("neuron tuning", "several tasks"),
    ),
    Table(
        "single_task_proportion",
        "Figure 6: single tasks trained alone, by proportion of neurons",
        inputs=("base_predictions", "proportion_predictions"),
        fields=("name", "metric"),
        config=(*INTERVALS, "neuron_tuning.proportions.percents"),
        figure=True,
        needs=("neuron tuning", "proportions"),
    ),
    Table(
        "overlap_rate",
        "Table 8: overlap of training and test tasks' neurons, beside chance",
        inputs=("scores", "score_replicates"),
        config=(
            *("tables.confidence", "groups", "overlap.proportions"),
            *("selection.scope", "attribution.model"),
        ),
        published="overlap_rate",
        needs=("groups",),
    ),
    Table(
        "similarity",
        "Figure 3: similarity of two tasks' parameters inside models trained on one task, by layer",
        inputs=("similarity",),
        fields=("name",),
        config=(*INTERVALS, "groups"),
        figure=True,
        needs=("neuron tuning", "groups", "similarity"),
    ),
    Table(
        "similarity_correlation",
        "Table 4: whether models whose parameters are more similar generalise better",
        inputs=("similarity", "single_task_tested"),
        fields=("name", "counterpart"),
        config=(*INTERVALS, "groups"),
        published="similarity_correlation",
        figure=True,
        needs=("neuron tuning", "groups", "similarity"),
    ),
    Table(
        "proportion_sweep",
        "Figure 2: groups of tasks trained together, by proportion of neurons, in and out of domain",
        inputs=("proportion_sweeps",),
        config=(*INTERVALS, "groups"),
        published="proportion_sweep",
        figure=True,
        figure_of=("single_task_proportion",),
        needs=("neuron tuning", "groups", "proportion sweep", "proportions"),
    ),
    Table(
        "overlap_ablation",
        "Tables 9 to 11: groups trained on neurons that share a given part with the test tasks', and two placebos",
        inputs=("overlap_ablations",),
        config=INTERVALS,
        published="overlap_ablation",
        figure=True,
        needs=("neuron tuning", "groups", "overlap ablation"),
    ),
    Table(
        "overlap_regression",
        "what overlap is worth apart from scores, size and kind",
        inputs=("overlap_ablations",),
        config=("tables.confidence",),
        needs=("neuron tuning", "groups", "overlap ablation"),
    ),
    Table(
        "jaccard",
        "overlap of any two tasks' neurons",
        inputs=("masks",),
        fields=("name",),
        figure=True,
        needs=("several tasks",),
    ),
    Table(
        "transfer_prediction",
        "what predicts transfer from one task to another: neuron overlap, parameter similarity and their rivals",
        inputs=(
            *("base_tested", "tuned_tested", "whole_tested", "base_predictions", "first_tuned_predictions"),
            *("tuned_features", "task_probes", "task_vectors", "base_masks", "base_similarity"),
        ),
        fields=("family", "metric"),
        config=(*CROSSED, "selection.k", "selection.scope"),
        figure=True,
        needs=("neuron tuning", "several tasks", "transfer"),
    ),
    Table(
        "continual_learning",
        "Table 5: tasks learnt one after another, what is known at the end, what was forgotten, and the costs",
        inputs=("continual_tests", "continual_costs"),
        fields=("name",),
        config=(*INTERVALS, "continual.benchmarks"),
        published="continual_learning",
        figure=True,
        needs=("continual",),
    ),
    Table(
        "continual_stages",
        "Figure 4: what is kept of earlier tasks after every stage",
        inputs=("continual_tests",),
        fields=("name",),
        config=(*INTERVALS, "continual.benchmarks"),
        figure=True,
        needs=("continual",),
    ),
    Table(
        "accuracy_matrix",
        "Tables 12 to 14: every task's accuracy after every stage",
        inputs=("continual_tests",),
        fields=("name",),
        config=(*INTERVALS, "continual.benchmarks"),
        figure=True,
        needs=("continual",),
    ),
    Table(
        "continual_tuning",
        "the learning rates and knobs of continual learning: tried, and chosen on validation examples",
        inputs=("continual_tunings",),
        fields=("name",),
        needs=("continual", "continual tuning"),
    ),
    Table(
        "hubs",
        "where families' neurons lie, and those of at least half of all tasks (hubs), beside chance",
        inputs=("scores", "score_replicates"),
        fields=("family",),
        config=("selection.k", "selection.scope", "tables.confidence"),
        figure=True,
        needs=("several tasks",),
    ),
    Table(
        "neurons_per_layer",
        "where each task's neurons lie",
        inputs=("masks",),
        fields=("name",),
        figure=True,
    ),
    Table(
        "selection_damage",
        "damage to the own task, its family and the others, by selection rule and k",
        inputs=("damage", "specificity", "first_original_predictions"),
        fields=("name", "family"),
        config=(
            *CROSSED,
            *("selection.k", "selection.scope", "damage.scored_examples", "ablation", "attribution.reference"),
        ),
        figure=True,
    ),
    Table(
        "faithfulness",
        "how well the score and its rivals tell the exact effect of single neurons",
        inputs=("faithfulness",),
        fields=("name",),
        config=("faithfulness.top",),
        figure=True,
    ),
    Table(
        "set_faithfulness",
        "what growing sets of neurons do together, against the sum of their scores; sufficiency and necessity",
        inputs=("set_effects",),
        fields=("name",),
        config=INTERVALS,
        figure=True,
    ),
    Table(
        "set_faithfulness_areas",
        "set_faithfulness as areas over the share of neurons, and up to which share scores add up",
        inputs=("set_effects",),
        fields=("name",),
        config=INTERVALS,
    ),
    Table(
        "set_faithfulness_means",
        "means of set_faithfulness_areas over tasks",
        inputs=("set_effects",),
        config=INTERVALS,
    ),
    Table(
        "stability",
        "agreement of the neurons that disjoint sets of examples select",
        inputs=("subset_scores",),
        fields=("name",),
        config=("selection.k", "selection.scope"),
        figure=True,
    ),
    Table(
        "zero_shot",
        "the base model before fine-tuning",
        inputs=("base_predictions",),
        fields=("name", "metric", "counterpart"),
        config=(*INTERVALS, "model.name"),
        published="neuron_tuning",
    ),
]


def left_out(config: Config) -> dict[str, str]:
    """The tables that a run cannot make, each with the reason."""
    tuning = config.neuron_tuning
    has = {
        "neuron tuning": tuning is not None,
        "proportions": tuning is None or tuning.proportions is not None,
        "several tasks": len(config.tasks) > 1,
        "groups": bool(config.groups.train),
        "continual": config.continual is not None,
        "continual tuning": config.continual is None
        or any(method.learning_rate is None for method in config.continual.methods.values()),
    }
    generalisation = config.generalisation.model_dump() if config.generalisation else {}
    for need, key in GENERALISATION.items():
        has[need] = generalisation.get(key) is not None
    missing = {table.name: [need for need in table.needs if not has[need]] for table in TABLES}
    return {name: "; ".join(NEEDS[need] for need in needs) for name, needs in missing.items() if needs}


def shown(config: Config) -> list[Table]:
    """The tables of a run, in the report's order."""
    without = left_out(config)
    return [table for table in TABLES if table.name not in without]


REPLACED_BY = {"zero": "zero", "mean": "their means, of attention sinks by nothing"}


def facts(config: Config) -> dict[str, str]:
    """What a reader of the report needs to know of the settings, each with its value."""
    selection, attribution, sizes, tuning = (
        config.selection,
        config.attribution,
        config.data.sizes,
        config.neuron_tuning,
    )
    told = {
        "selected": f"top {percent_text(selection.k)} % ({selection.scope})",
        "scores": f"of the {attribution.model} model, aggregation {attribution.aggregation}, loss {attribution.loss}, "
        f"reference {attribution.reference}",
        "switched off": f"outputs replaced by {REPLACED_BY[config.ablation]}",
        "examples a task": f"{sizes.train} train, {sizes.attribution} attribution, {sizes.test} test",
        "trainings": str(len(config.training.seeds)),
        "random sets": f"{selection.random_draws} ({selection.random_scope})",
    }
    if tuning is not None:
        told["neuron tuning"] = (
            f"scores of the base model; trainings of each set: {len(tuning.training.seeds)}; "
            f"random sets, matched in each layer: {tuning.random_draws}; epochs: {tuning.training.epochs}; "
            f"train examples: {f'at most {tuning.examples}' if tuning.examples else 'all'}; learning rates: by the "
            f"loss on {tuning.training.validation} validation examples a task, and {tuning.rates.common:g}"
        )
    return told
