"""All findings in the report's order: each a sentence with its numbers, whatever they show."""

from taskneurons.report.findings import continual, controls, groups, proofs, scores, similarity, transfer
from taskneurons.report.findings.common import Tables


def findings(tables: Tables, enough: float) -> list[str]:
    """The sentences about the tables that there are, for the top of the report.

    Args:
        tables: the report's tables by name.
        enough: percent of agreement between masks of disjoint examples that counts as enough.
    """
    told = {
        "deactivation_means": lambda: proofs.means(tables, "deactivation_means"),
        "deactivation_effect": lambda: proofs.deactivation_effect(tables),
        "neuron_tuning_means": lambda: proofs.means(tables, "neuron_tuning_means"),
        "neuron_tuning_effect": lambda: proofs.tuning_effect(tables),
        "learning_rates": lambda: proofs.rates(tables),
        "tuning_budget": lambda: proofs.budgets(tables),
        "cross_task_tuning": lambda: proofs.tuning_diagonal(tables),
        "single_task_proportion": lambda: proofs.proportions(tables),
        "specificity": lambda: controls.specificity(tables),
        "universal_neurons": lambda: controls.universal(tables),
        "hubs": lambda: controls.hubs(tables),
        "cross_task_deactivation": lambda: [proofs.diagonal(tables)],
        "overlap_rate": lambda: [scores.overlap(tables)],
        "proportion_sweep": lambda: groups.sweep(tables),
        "overlap_ablation": lambda: groups.overlap_ablation(tables),
        "overlap_regression": lambda: groups.overlap_regression(tables),
        "similarity": lambda: similarity.similarity(tables),
        "similarity_correlation": lambda: similarity.similarity_correlation(tables),
        "transfer_prediction": lambda: transfer.transfer(tables),
        "continual_learning": lambda: continual.learning(tables),
        "continual_tuning": lambda: continual.tuning(tables),
        "selection_damage": lambda: controls.damage(tables),
        "faithfulness": lambda: scores.faithfulness(tables),
        "set_faithfulness_means": lambda: [*scores.sums_of_scores(tables), *scores.areas(tables)],
        "stability": lambda: [scores.stability(tables, enough)],
    }
    return [sentence for name, tell in told.items() if name in tables for sentence in tell()]
