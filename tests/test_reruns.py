"""Reruns that are exactly right: what a change of every config key, or of a library module, makes Snakemake run.

No step is run here. All outputs are made as stubs that say which link of the chain they are (`stubs.py`); a dry-run
with a changed config then says which rules would run. Snakemake has no record of them, unless a test has made one with
`--touch`: what reruns must not depend on it.
"""

import copy
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

import forked_snakemake
import stubs
from conftest import ROOT
from reliability.model_folders import gguf_file, model_folder
from reliability.small import project_copy
from taskneurons.config import reference

FORKS = forked_snakemake.pool(4)  # `--touch` mostly sleeps

# What follows when a rule runs. Written out by hand, so that a wrong edge in the rules is seen too.
SCORE_TABLES = {
    "table_deactivation",
    "table_deactivation_means",
    "table_deactivation_effect",
    "table_cross_task_deactivation",
}
MASK_TABLES = {"table_jaccard", "table_neurons_per_layer"}
FROM_SCORE_TABLES = {
    "figure_deactivation",
    "figure_cross_task_deactivation",
    "figure_cross_task_tuning",  # Figure 5 has the matrices of both
    "report",
}
PROPORTION_TABLE = {
    "table_single_task_proportion",
    "figure_single_task_proportion",
    "figure_proportion_sweep",  # which has Figure 6 beside Figure 2
    "report",
}
TRANSFER_TABLE = {"table_transfer_prediction", "figure_transfer_prediction", "report"}
PROBED = {"task_probe", *TRANSFER_TABLE}
ZERO_SHOT_TABLES = {
    *TRANSFER_TABLE,
    "table_zero_shot",
    "table_neuron_tuning",
    "table_neuron_tuning_means",
    "table_cross_task_tuning",
    "figure_neuron_tuning",
    "figure_cross_task_tuning",
    *PROPORTION_TABLE,
}
WITH_ZERO_SHOT = {"zero_shot", *ZERO_SHOT_TABLES}
TUNING_TABLES = {"table_neuron_tuning_effect", *(ZERO_SHOT_TABLES - {"table_zero_shot"} - PROPORTION_TABLE), "report"}
BUDGET_TABLE = {"table_tuning_budget", "figure_tuning_budget", "report"}
TUNING_EVALUATED = {"tuned_evaluation", "proportion_evaluation", *TUNING_TABLES, *PROPORTION_TABLE}
PROPORTIONED = {"proportion_tuning", "proportion_evaluation", *PROPORTION_TABLE}
TUNED = {"neuron_tuning", "tuned_evaluation", "transfer", "task_vectors", *TUNING_TABLES, *BUDGET_TABLE}
# The proportions take the deltas at selection.k from neuron_tuning.
TUNED_AND_SHARED = {*TUNED, "proportion_evaluation", *PROPORTION_TABLE}
BUDGETED = {"budget_tuning", *BUDGET_TABLE}
SWEEP_TABLE = {"table_proportion_sweep", "figure_proportion_sweep", "report"}
SWEPT = {"sweep_rates", "proportion_sweep", *SWEEP_TABLE}
MEASURED_SWEEP = SWEPT - {"sweep_rates"}
ABLATION_TABLES = {"table_overlap_ablation", "figure_overlap_ablation", "table_overlap_regression", "report"}
ABLATED = {"overlap_ablation", *ABLATION_TABLES}
GROUPED = {*SWEPT, *ABLATED}
MEASURED_GROUPS = GROUPED - {"sweep_rates"}
# The sweep has learning rates of its own, which do not rest on single tasks'.
OWN_RATES = {"sweep_rates", "proportion_sweep", "table_proportion_sweep"}
TUNING = {"rate_search", "table_learning_rates", *TUNED, *PROPORTIONED, *BUDGETED, *GROUPED}
DAMAGE_TABLE = {"table_selection_damage", "figure_selection_damage", "report"}
DAMAGED = {"damage", *DAMAGE_TABLE}
SPECIFICITY_TABLE = {"table_specificity", "figure_specificity", "report"}
SPECIFICITY = {"specificity_damage", *SPECIFICITY_TABLE, *DAMAGE_TABLE}  # both tables show what is measured there
EQUAL_DAMAGE = {"equal_damage", *SPECIFICITY}
OWN_DAMAGE = {"own_damage", *EQUAL_DAMAGE}
COMPARING = {"select_contrastive", "select_activation_entropy", "select_universal"}
COMPARED = {*COMPARING, *DAMAGED, *OWN_DAMAGE}
BASE_COMPARED = {"select_contrastive", "select_without_universal", *TUNING}
# The sets of proportions and of groups compare nothing.
FROM_BASE_COMPARED = (BASE_COMPARED - {"proportion_tuning", *GROUPED}) | {"figure_proportion_sweep", "report"}
# What looks at validation examples.
VALIDATED = {*TUNING, *OWN_DAMAGE}
STABILITY = {"table_stability", "figure_stability", "report"}
FAITHFULNESS_TABLE = {"table_faithfulness", "figure_faithfulness", "report"}
FAITHFULNESS = {"faithfulness", *FAITHFULNESS_TABLE}
SET_TABLES = {
    *("table_set_faithfulness", "table_set_faithfulness_areas", "table_set_faithfulness_means"),
    *("figure_set_faithfulness", "report"),
}
SET_EFFECTS = {"set_effects", *SET_TABLES}
FROM_MASK_TABLES = {"figure_jaccard", "figure_neurons_per_layer", "report"}
EVALUATED = {"deactivation", *SCORE_TABLES, *FROM_SCORE_TABLES, *DAMAGE_TABLE}
FROM_OWN_SETS = {"table_universal_neurons", *MASK_TABLES, *FROM_MASK_TABLES, *EVALUATED, *DAMAGED, *SPECIFICITY}
SELECTED = {"selection", "random_selection", *FROM_OWN_SETS}
HUBS_TABLE = {"table_hubs", "figure_hubs", "report"}
FROM_SCORES = {"table_overlap_rate", *HUBS_TABLE, *SELECTED, *COMPARED, *STABILITY}
SCORED = {"attribution", *FROM_SCORES, *SET_EFFECTS}
# What looks at models that are trained on one task alone.
CORRELATION_TABLE = {"table_similarity_correlation", "figure_similarity_correlation", "report"}
SIMILARITY_TABLES = {"table_similarity", "figure_similarity", *CORRELATION_TABLE}
SIMILARITY = {"similarity", *SIMILARITY_TABLES}
MEASURED = {"tested_model", *CORRELATION_TABLE, *TRANSFER_TABLE}
SINGLE = {"single_task", "plain_attribution", "task_vectors", *SIMILARITY, *MEASURED}
# The losses of all models, those after neuron tuning too.
LOSSES = {"transfer", *MEASURED}
BASE_SELECTED = {"selection", "matched_selection", *BASE_COMPARED}
BASE_SCORED = {"plain_attribution", *SIMILARITY, *BASE_SELECTED}
# The scores by the other reference, for specificity alone.
OTHERWISE_SCORED = {"plain_attribution", "selection", *COMPARING, *OWN_DAMAGE, *SET_EFFECTS}
MEANS = {"mean_outputs", "table_universal_neurons", "report", *OTHERWISE_SCORED}
TRAINED = {"multitask", *SINGLE, "activations", *SCORED, *MEANS, *FAITHFULNESS}
BASE = {"base_model", *WITH_ZERO_SHOT, *TRAINED, *BASE_SCORED, *PROBED}
DATA = {"prepare_data", *WITH_ZERO_SHOT, *TRAINED, *BASE_SCORED, *PROBED}
TESTED = {
    *("prepare_data", *WITH_ZERO_SHOT, *EVALUATED, *DAMAGED, *SPECIFICITY, *SET_EFFECTS, *TUNING_EVALUATED),
    *(*LOSSES, *MEASURED_GROUPS),
}
ATTRIBUTED = {"prepare_data", "activations", *SCORED, *MEANS, *FAITHFULNESS, *BASE_SCORED, *PROBED}
NAMED = {
    *(*ZERO_SHOT_TABLES, *TUNING_TABLES, *SCORE_TABLES, *FROM_SCORE_TABLES, *DAMAGE_TABLE, *SET_TABLES),
    *SIMILARITY_TABLES,
}
RESAMPLED = {*NAMED, *BUDGET_TABLE, *SPECIFICITY_TABLE, *SWEEP_TABLE, *ABLATION_TABLES}
WITH_MODEL = {
    *("table_deactivation", "table_deactivation_means", "figure_deactivation", "table_zero_shot"),
    *("table_neuron_tuning", "table_neuron_tuning_means", "figure_neuron_tuning", "report"),
}
SHOWN = {*("table_learning_rates", *NAMED, *MASK_TABLES, *FROM_MASK_TABLES, *STABILITY, *FAITHFULNESS_TABLE)} - {
    "table_transfer_prediction",
    "figure_transfer_prediction",
}  # which names no task
ON_MODELS = {"activations", *SCORED, *MEANS, *FAITHFULNESS, *BASE_SCORED, *PROBED}
EVERYTHING = {"pretraining_text", "base_model", *DATA}

# Continual learning, which the main job knows nothing of.
CONTINUAL_TABLES = {
    *(f"{kind}_{name}" for kind in ("table", "figure") for name in ("continual_learning", "continual_stages")),
    *("table_accuracy_matrix", "figure_accuracy_matrix", "report"),
}
STAGES_TESTED = {"test_stage", *CONTINUAL_TABLES}
LEARNT = {"learn_stage", *STAGES_TESTED}
METHODS_TUNED = {"tune_method", "table_continual_tuning", *LEARNT}
CONTINUAL = {"prepare_data", "plain_attribution", "untrained", *METHODS_TUNED}

FILMS = {
    **{"name": "one", "family": "sentiment", "source": {"suite": "film_reviews"}, "prompt": "{review}"},
    **{"target": "label", "labels": {"negative": "negative", "positive": "positive"}},
}

PRETRAIN = "model.source.pretrain"

# Leaf key of the config → (the config to start from, the changed value, the rules that run). A `*` stands for the first
# task, label or group.
MATRIX = {
    "run": ("embedded", "other", EVERYTHING),
    "seed": ("embedded", 1, EVERYTHING),
    "data_root": ("local", "{other}", {"base_model", *DATA}),  # the model's folder is looked up there too
    "weights": ("local", "{other}/model.gguf", {*BASE, *WITH_MODEL}),
    "compute.device": ("embedded", "auto", BASE),
    "compute.dtype": ("embedded", "bfloat16", BASE),
    # What jobs are planned to take changes nothing that they do.
    "compute.gpu": ("embedded", "h100", set()),
    "compute.gpus": ("watched", 2, set()),
    "compute.checkpoint_seconds": ("embedded", 5, set()),
    "compute.trained_weights": ("embedded", "compute", BASE),
    "compute.training_threads": ("embedded", 2, BASE),
    "compute.tuning_threads": ("embedded", 2, TUNING),
    "compute.inference_threads": ("embedded", 2, {*ON_MODELS, *WITH_ZERO_SHOT, *LOSSES}),
    "compute.frozen_weights": ("embedded", "compute", {*ON_MODELS, *WITH_ZERO_SHOT, *LOSSES}),
    "compute.training_batch_tokens": ("embedded", 99, BASE),
    "compute.gradient_checkpointing": ("embedded", True, BASE),
    "model.name": ("embedded", "other", WITH_MODEL),
    "model.architecture.*": ("hub", 400, set()),
    f"{PRETRAIN}.documents_per_task": ("embedded", 7, {"pretraining_text", *BASE}),
    f"{PRETRAIN}.vocabulary": ("embedded", 999, BASE),
    f"{PRETRAIN}.architecture.hidden_size": ("embedded", 32, BASE),
    f"{PRETRAIN}.architecture.intermediate_size": ("embedded", 64, BASE),
    f"{PRETRAIN}.architecture.num_hidden_layers": ("embedded", 2, BASE),
    f"{PRETRAIN}.architecture.num_attention_heads": ("embedded", 2, BASE),
    f"{PRETRAIN}.architecture.max_position_embeddings": ("embedded", 96, BASE),
    f"{PRETRAIN}.training.epochs": ("embedded", 9, BASE),
    f"{PRETRAIN}.training.batch_size": ("embedded", 9, BASE),
    f"{PRETRAIN}.training.learning_rate": ("embedded", 0.5, BASE),
    f"{PRETRAIN}.training.warmup": ("embedded", 0.5, BASE),
    f"{PRETRAIN}.training.schedule": ("embedded", "constant", BASE),
    f"{PRETRAIN}.training.weight_decay": ("embedded", 0.5, BASE),
    f"{PRETRAIN}.training.max_gradient_norm": ("embedded", 0.5, BASE),
    "model.source.hub": ("hub", "someone/else", BASE),
    "model.source.revision": ("hub", "v2", BASE),
    "model.source.trust_remote_code": ("hub", True, BASE),
    "model.source.path": ("folder", "{other}/model", BASE),
    "model.source.gguf": ("gguf", "{other}/model.gguf", BASE),
    "tasks.*.name": (
        "embedded",
        "Other",
        SHOWN - {"table_deactivation_means", "table_neuron_tuning_means", "table_set_faithfulness_means"},
    ),
    # More than need be: of the compared rules only contrastive looks at families, and none at the core's share.
    "tasks.*.family": ("embedded", "other", {*HUBS_TABLE, *COMPARED, *SET_EFFECTS, *FROM_BASE_COMPARED}),
    "tasks.*.counterpart": ("embedded", None, {*WITH_MODEL, *CORRELATION_TABLE}),
    "tasks.*.prompt": ("embedded", "{review} so :", DATA),
    "tasks.*.target": ("hub", "text", DATA),
    "tasks.*.metric": ("generation", "accuracy", DATA),
    "tasks.*.labels.*": ("embedded", "other", DATA),
    "tasks.*.nulls": ("own", "skip", DATA),
    "tasks.*.source.suite": ("label prompt", "dish_reviews", EVERYTHING),
    "tasks.*.source.hub.id": ("hub", "someone/else", DATA),
    "tasks.*.source.hub.config": ("hub", "other", DATA),
    "tasks.*.source.hub.revision": ("hub", "v2", DATA),
    "tasks.*.source.hub.references": ("hub", "label", DATA),
    "tasks.*.source.hub.columns.*": ("hub", "other", DATA),
    "tasks.*.source.hub.splits.train": ("hub", "other", DATA),
    "tasks.*.source.hub.splits.validation": ("hub", "other", {*ATTRIBUTED, *TESTED}),
    # Validation takes what test leaves; neuron tuning and equal own damage look at it.
    "tasks.*.source.hub.splits.test": ("hub", "other", {*TESTED, *VALIDATED}),
    "tasks.*.source.local.path": ("local", "second", DATA),
    "tasks.*.source.local.references": ("local", "label", DATA),
    "tasks.*.source.local.splits.train": ("local", "test", DATA),
    "tasks.*.source.local.splits.validation": ("local", "test", {*ATTRIBUTED, *TESTED}),
    "tasks.*.source.local.splits.test": ("local", "validation", {*TESTED, *VALIDATED}),
    "tasks.*.sizes.train": ("own", 11, {"prepare_data", *TRAINED, *TUNING}),
    "tasks.*.sizes.attribution": ("own", 11, ATTRIBUTED),
    "tasks.*.sizes.validation": ("own", 11, {"prepare_data", *VALIDATED}),
    # Of a training task, on which overlap with the test tasks' neurons is not tested.
    "tasks.*.sizes.test": ("own", 11, TESTED - (ABLATED - {"report"})),
    "tasks.*.tokens.prompt": ("own", 11, DATA),
    "tasks.*.tokens.target": ("own", 11, DATA),
    "data.sizes.train": ("embedded", 11, {"prepare_data", *TRAINED, *TUNING}),
    "data.sizes.attribution": ("embedded", 11, ATTRIBUTED),
    "data.sizes.validation": ("embedded", 11, {"prepare_data", *VALIDATED}),  # other trainings do not look at it
    "data.sizes.test": ("embedded", 11, TESTED),
    "data.tokens.prompt": ("embedded", 11, DATA),
    "data.tokens.target": ("embedded", 11, DATA),
    "training.seeds": ("embedded", [1], TRAINED),
    "training.epochs": ("embedded", 9, TRAINED),
    "training.batch_size": ("embedded", 9, TRAINED),
    "training.learning_rate": ("embedded", 0.5, TRAINED),
    "training.warmup": ("embedded", 0.5, TRAINED),
    "training.schedule": ("embedded", "constant", TRAINED),
    "training.weight_decay": ("embedded", 0.5, TRAINED),
    "training.max_gradient_norm": ("embedded", 0.5, TRAINED),
    "training.validation": ("embedded", 2, TRAINED),  # the examples are there, for neuron tuning
    "training.patience": ("watched", 2, TRAINED),
    # Then the base model's scores have replicates and subsets too.
    "attribution.model": (
        "embedded",
        "base",
        {"activations", "matched_selection", "similarity", *SCORED, *MEANS, *BASE_COMPARED},
    ),
    # What had replicates does without them, and the other way round; the base model's are scored from its means.
    "attribution.reference": ("embedded", "mean", {"mean_outputs", *SCORED, *BASE_SCORED}),
    "ablation": ("embedded", "mean", {"mean_outputs", *EVALUATED, *DAMAGED, *FAITHFULNESS}),
    "attribution.aggregation": ("embedded", "token", {*SCORED, *FAITHFULNESS, "plain_attribution", *BASE_SCORED}),
    "attribution.loss": ("embedded", "sum", {*SCORED, *FAITHFULNESS, "plain_attribution", *BASE_SCORED}),
    "attribution.batch_size": ("embedded", 9, ON_MODELS),
    "attribution.batch_tokens": ("embedded", 9999, {*ON_MODELS, *LOSSES}),
    "attribution.shards": (
        "embedded",
        2,
        {
            "attribution_shard",
            "merge_attribution",
            "merge_plain_attribution",
            *FROM_SCORES,
            *SET_EFFECTS,
            *SIMILARITY,
            *BASE_SELECTED,
        },
    ),
    # One job writes scores, replicates and subsets: what follows from the scores runs too, though they stay the same.
    "attribution.bootstrap": ("embedded", 9, SCORED),
    "stability.sizes": ("embedded", [2, 4], SCORED),
    "stability.repeats": ("embedded", 2, SCORED),
    "stability.enough": ("embedded", 50, {"report"}),
    # The proportion at the former k is trained again: its delta now belongs to the proportions.
    "selection.k": (
        "embedded",
        20,
        {*HUBS_TABLE, *SELECTED, "select_universal", *STABILITY, *SIMILARITY, *BASE_SELECTED} - {"damage", *OWN_RATES},
    ),
    "selection.scope": ("embedded", "per-layer", {*FROM_SCORES, *SET_EFFECTS, *SIMILARITY, *BASE_SELECTED}),
    "selection.random_draws": ("embedded", 2, {"random_selection", *EVALUATED, *SPECIFICITY}),
    "selection.random_scope": (
        "embedded",
        "per-layer",
        {"matched_selection", *EVALUATED, *SPECIFICITY},  # those that are trained are always matched in each layer
    ),
    "selection.core_share": (
        "embedded",
        50,
        {*COMPARED, *FROM_BASE_COMPARED} - {"own_damage", "equal_damage"},
    ),  # more than need be, as for the family
    "damage.rules.*": ("embedded", [2], {"selection", *DAMAGED}),
    "damage.examples": ("embedded", 9, {*DAMAGED, *OWN_DAMAGE}),
    "damage.scored.*": ("embedded", [3], DAMAGED),
    "damage.scored_examples": ("embedded", 9, DAMAGED),
    "specificity.percents": (
        "embedded",
        [3, 10, 30],
        {"selection", "select_contrastive", "random_selection", *SPECIFICITY},
    ),
    "specificity.grid": ("embedded", [1, 10], OWN_DAMAGE),
    "faithfulness.tasks": ("embedded", ["cafe_facts"], FAITHFULNESS_TABLE),
    "faithfulness.examples": ("embedded", 9, FAITHFULNESS),
    "faithfulness.neurons": ("embedded", 9, FAITHFULNESS),
    "faithfulness.layers": ("embedded", 2, FAITHFULNESS),
    "faithfulness.steps": ("embedded", 9, FAITHFULNESS),
    "faithfulness.top": ("embedded", 9, FAITHFULNESS_TABLE),
    "neuron_tuning.random_draws": (
        "embedded",
        2,
        # One job makes all draws, so that the rate is searched anew with the first.
        {"matched_selection", "rate_search", "table_learning_rates", *TUNED_AND_SHARED, "budget_tuning"},
    ),
    "set_faithfulness.tasks": ("embedded", ["cafe_facts"], SET_TABLES),
    "set_faithfulness.examples": ("embedded", 9, SET_EFFECTS),
    "set_faithfulness.shares": ("embedded", [2], SET_EFFECTS),
    "set_faithfulness.random_draws": ("embedded", 2, SET_EFFECTS),
    "neuron_tuning.cross_training": ("embedded", True, TUNED_AND_SHARED),
    "neuron_tuning.examples": ("embedded", 99, TUNING - OWN_RATES),
    "neuron_tuning.rates.grid": ("embedded", [0.1, 0.2], TUNING),
    "neuron_tuning.rates.extensions": ("embedded", 5, TUNING),
    "neuron_tuning.rates.tasks": ("embedded", ["cafe_facts"], TUNING - OWN_RATES),
    "neuron_tuning.rates.common": ("embedded", 0.5, {*TUNED_AND_SHARED, *BUDGETED}),
    "neuron_tuning.curve": ("embedded", 5, {*TUNED_AND_SHARED, *PROPORTIONED, *BUDGETED}),
    "neuron_tuning.budgets.tasks": ("embedded", ["cafe_facts"], {"matched_selection", *BUDGETED}),
    "neuron_tuning.budgets.percents": (
        "embedded",
        [1, 10],
        {"selection", "matched_selection", "select_contrastive", *BUDGETED},
    ),
    "neuron_tuning.proportions.tasks": ("embedded", ["film_reviews"], PROPORTION_TABLE),
    "neuron_tuning.proportions.percents": ("embedded", [10, 100], {"selection", *PROPORTIONED}),
    "neuron_tuning.proportions.seeds": ("embedded", [1], PROPORTIONED),
    "neuron_tuning.training.seeds": ("embedded", [1], TUNING),
    "neuron_tuning.training.epochs": ("embedded", 9, TUNING),
    "neuron_tuning.training.batch_size": ("embedded", 9, TUNING),
    "neuron_tuning.training.warmup": ("embedded", 0.5, TUNING),
    "neuron_tuning.training.schedule": ("embedded", "constant", TUNING),
    "neuron_tuning.training.weight_decay": ("embedded", 0.5, TUNING),
    "neuron_tuning.training.max_gradient_norm": ("embedded", 0.5, TUNING),
    "neuron_tuning.training.validation": ("embedded", 2, TUNING),
    "neuron_tuning.training.patience": ("embedded", 2, TUNING),
    "evaluation.batch_size": (
        "embedded",
        9,
        {*WITH_ZERO_SHOT, *EVALUATED, *DAMAGED, *OWN_DAMAGE, *TUNING_EVALUATED, *LOSSES, *GROUPED},
    ),
    "evaluation.label_score": (
        "embedded",
        "mean",
        {*WITH_ZERO_SHOT, *EVALUATED, *DAMAGED, *TUNING_EVALUATED, *MEASURED, *MEASURED_GROUPS},
    ),
    "evaluation.cross_task_examples": ("embedded", 9, {*EVALUATED, "tuned_evaluation", *TUNING_TABLES}),
    "groups.train.*": ("embedded", ["cafe_facts"], {"table_overlap_rate", *SINGLE, *GROUPED}),
    "groups.test.*": (
        "embedded",
        ["cafe_facts"],
        {"table_overlap_rate", *(SINGLE - {"single_task", "task_vectors"}), *MEASURED_GROUPS},
    ),
    "generalisation.similarity.draws": ("embedded", 9, SIMILARITY),
    "overlap.proportions": ("embedded", [5], {"table_overlap_rate", "report"}),
    "generalisation.train_examples": ("embedded", 9, GROUPED),
    "generalisation.examples": ("embedded", 9, {*LOSSES, *MEASURED_GROUPS}),
    "generalisation.scored_examples": ("embedded", 9, {*MEASURED, *MEASURED_GROUPS}),
    "generalisation.proportions.percents": ("embedded", [20], SWEPT),
    "generalisation.proportions.reading": ("embedded", "own", SWEPT),
    "generalisation.proportions.seeds": ("embedded", [5], MEASURED_SWEEP),
    "generalisation.overlap_ablation.pairs": ("two groups", ["CLS-CLS"], ABLATION_TABLES),
    "generalisation.overlap_ablation.trained": ("embedded", [20], ABLATED),
    "generalisation.overlap_ablation.shares": ("embedded", [20], ABLATED),
    "generalisation.overlap_ablation.draws": ("embedded", 2, ABLATED),
    "generalisation.transfer.probes": ("embedded", 9, {"transfer", *PROBED}),  # features are taken of fewer
    "continual.tasks.*": ("continual", {**FILMS, "prompt": "{review} so :"}, CONTINUAL),
    "continual.prompt": ("continual", "{input} so :", CONTINUAL),
    "continual.named": ("continual", True, CONTINUAL),
    "continual.benchmarks.*": ("continual", {"1": ["c_dishes", "c_films"]}, METHODS_TUNED),
    "continual.methods.*.learning_rate": ("continual", 0.5, LEARNT),
    "continual.methods.*.knob": ("continual", 0.5, LEARNT),
    "continual.methods.*.orders": ("continual", ["1"], CONTINUAL_TABLES),
    "continual.k": ("continual", 20, METHODS_TUNED),
    "continual.seeds": ("continual", [5], METHODS_TUNED),
    "continual.sizes.train": ("continual", 9, {"prepare_data", *METHODS_TUNED}),
    "continual.sizes.attribution": ("continual", 9, {"prepare_data", "plain_attribution", *METHODS_TUNED}),
    "continual.sizes.validation": ("continual", 9, {"prepare_data", *METHODS_TUNED}),
    "continual.sizes.test": ("continual", 9, {"prepare_data", "untrained", *STAGES_TESTED}),
    "continual.tokens.prompt": ("continual", 40, CONTINUAL),
    "continual.tokens.target": ("continual", 5, CONTINUAL),
    "continual.training.epochs": ("continual", 9, METHODS_TUNED),
    "continual.training.batch_size": ("continual", 9, METHODS_TUNED),
    "continual.training.warmup": ("continual", 0.5, METHODS_TUNED),
    "continual.training.schedule": ("continual", "constant", METHODS_TUNED),
    "continual.training.weight_decay": ("continual", 0.5, METHODS_TUNED),
    "continual.training.max_gradient_norm": ("continual", 0.5, METHODS_TUNED),
    "continual.tuning.grid": ("continual", [0.1, 0.2], METHODS_TUNED),
    "continual.tuning.extensions": ("continual", 5, METHODS_TUNED),
    "continual.tuning.further": ("continual", 1, METHODS_TUNED),
    "continual.tuning.examples": ("continual", 2, METHODS_TUNED),
    "continual.exact_match": ("continual", "none", STAGES_TESTED),
    "continual.general": ("continual", "film_reviews", {"untrained", *STAGES_TESTED}),
    "continual.texts": ("continual", 9, {"untrained", *STAGES_TESTED}),
    # The overlap has replicates of its own.
    "tables.bootstrap": ("embedded", 9, RESAMPLED - {"table_overlap_regression"}),
    "tables.confidence": ("embedded", 90, {"table_overlap_rate", *HUBS_TABLE, *RESAMPLED}),
}


def leaves() -> set[str]:
    """The leaf keys of the config; `*` stands for a key that the user chooses."""
    return {
        key.replace("<name>", "*") + (".*" if kind.startswith("mapping") else "")
        for key, kind, _, _ in reference.rows()
    }


def embedded() -> dict:
    """Two classification tasks and a generation task of the embedded default."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    keys = ("film_reviews", "dish_reviews", "cafe_facts")
    config["tasks"] = {key: config["tasks"][key] for key in keys}
    config["groups"] = {"train": {"CLS": ["film_reviews"]}, "test": {"CLS": ["dish_reviews"]}}
    config["continual"] = None  # below, in a config of its own
    config["generalisation"]["overlap_ablation"] |= {"pairs": "all", "trained": [10], "draws": 3}
    config["generalisation"]["proportions"] |= {"percents": [10], "seeds": [0]}
    # Few sets: every dry-run looks at all of them.
    config["selection"]["random_draws"] = 1
    config["neuron_tuning"]["rates"]["tasks"] = ["film_reviews"]
    config["neuron_tuning"]["budgets"] = {"tasks": ["film_reviews"], "percents": [3, 10]}
    config["neuron_tuning"]["proportions"] = {
        "tasks": ["film_reviews", "cafe_facts"],
        "percents": [3, 10],
        "seeds": [0],
    }
    config["neuron_tuning"]["training"] |= {"seeds": [0], "validation": 3}
    config["specificity"] = {"percents": [3, 10], "grid": [3, 10]}
    config["set_faithfulness"]["tasks"] = ["film_reviews", "cafe_facts"]
    config["damage"]["rules"] = {"global": [3], "contrastive": [3, 10], "activation-entropy": [10], "random": [3]}
    return config


def continual() -> dict:
    """Three methods on two orders of two tasks, beside a main job without what takes long to look at."""
    config = embedded()
    config |= {"neuron_tuning": None, "generalisation": None, "groups": {}}
    tasks = {"c_films": FILMS, "c_dishes": {**config["tasks"]["dish_reviews"], "name": "two"}}
    orders = {"1": ["c_films", "c_dishes"], "2": ["c_dishes", "c_films"]}
    return config | {
        "continual": {
            "tasks": tasks,
            "prompt": "{input}",
            "benchmarks": {"standard": orders},
            "methods": {"ewc": {"learning_rate": 0.1, "knob": 1}, "ncft": {}, "per-task-ft": {"learning_rate": 0.1}},
            "sizes": {"train": 20, "attribution": 4, "validation": 10, "test": 10},
            "training": {"epochs": 1},
            "tuning": {"examples": 5},
            "tokens": {"prompt": 48, "target": 8},
            "general": "cafe_facts",
        }
    }


def starting_configs(folder: Path) -> dict[str, dict]:
    """The configs that the matrix starts from; `folder` gets the local files that some of them name."""
    for name in ("first", "second", "other/first"):
        (folder / name).mkdir(parents=True)
        for split in ("train", "validation", "test"):
            (folder / name / f"{split}.csv").write_text("text,label\na,0\n")
    for place in (folder, folder / "other"):
        model_folder(place / "model")
        gguf_file(place / "model.gguf")
    start = {"embedded": embedded(), "continual": continual()}
    splits = {"train": "train", "validation": "validation", "test": "test"}
    task = {
        "name": "A",
        "family": "f",
        "counterpart": None,
        "prompt": "{text} :",
        "target": "label",
        "labels": {"0": "no", "1": "yes"},
        "metric": "accuracy",
    }
    groups = {"train": {"G": ["a"]}, "test": {"G": ["b"]}}
    sources = {
        "hub": {
            "hub": {
                **{"id": "someone/data", "config": "c", "revision": "main", "splits": splits, "references": "text"},
                "columns": {"text": "words"},
            }
        },
        "local": {"local": {"path": "first", "splits": splits, "references": "text"}},
    }
    models = {
        "hub": {"hub": "someone/model", "revision": "main", "trust_remote_code": False},
        "local": {"path": "model"},
    }
    for name, source in sources.items():
        config = embedded()
        config["tasks"] = {
            key: {**copy.deepcopy(task), "name": key, "source": copy.deepcopy(source)} for key in ("a", "b")
        }
        config["groups"] = groups
        config["generalisation"]["overlap_ablation"]["pairs"] = "all"
        for section in ("proportions", "budgets", "rates"):
            config["neuron_tuning"][section]["tasks"] = "all"
        config["set_faithfulness"]["tasks"] = "all"
        config["model"]["source"] = models[name]
        if name == "hub":
            sizes = {"vocab_size": 300, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2}
            config["model"]["architecture"] = {**sizes, "num_attention_heads": 2, "model_type": "llama"}
        start[name] = config
    start["local"]["data_root"] = str(folder)
    for name, source in (("folder", {"path": str(folder / "model")}), ("gguf", {"gguf": str(folder / "model.gguf")})):
        start[name] = embedded()
        start[name]["model"]["source"] = source
    start["own"] = embedded()
    for key in ("sizes", "tokens"):
        start["own"]["tasks"]["film_reviews"][key] = dict(start["own"]["data"][key])
    start["own"]["tasks"]["film_reviews"]["nulls"] = "error"
    start["two groups"] = embedded()
    start["two groups"]["groups"]["test"]["GEN"] = ["cafe_facts"]
    start["watched"] = embedded()
    start["watched"]["training"]["validation"] = 2
    start["watched"]["compute"]["device"] = "spread"  # over several GPUs
    start["label prompt"] = embedded()
    start["label prompt"]["tasks"]["film_reviews"]["prompt"] = "{label} :"
    start["generation"] = embedded()
    film = start["generation"]["tasks"]["film_reviews"]
    film["metric"] = "rougeL"
    del film["labels"]
    return start


def changed(config: dict, key: str, value: object, folder: Path) -> dict:
    """A copy of the config with one leaf changed; `*` takes the first key."""
    if isinstance(value, str):
        value = value.replace("{other}", str(folder / "other"))
    config = copy.deepcopy(config)
    place = config
    *path, last = key.split(".")
    for part in path:
        place = place[next(iter(place)) if part == "*" else part]
    place[next(iter(place)) if last == "*" else last] = value
    if key == "tasks.*.metric":
        config["tasks"]["film_reviews"]["labels"] = {"negative": "negative", "positive": "positive"}
    return config


class Workflow:
    """A copy of the project in which every output exists, as one config asks for it, and Snakemake knows of none."""

    def __init__(self, folder: Path, config: dict) -> None:
        self.folder, self.count = folder, 0
        project_copy(folder)
        self.links = stubs.outputs(self.snakemake(config, "--dry-run", "--printshellcmds"))
        stubs.write(folder, self.links)

    def snakemake(self, config: dict, *options: str) -> str:
        self.count += 1
        file = self.folder / f"config-{self.count}.json"
        file.write_text(json.dumps(config))
        arguments = ["--configfile", str(file), "--nolock", *options]
        status, output = FORKS.submit(forked_snakemake.snakemake, self.folder, *arguments).result()
        assert status == 0, output
        return output

    def would_run(self, config: dict) -> dict[str, int]:
        """Rule → number of jobs of a dry-run."""
        output = self.snakemake(config, "--dry-run", "--quiet", "rules")
        if "Nothing to be done" in output:
            return {}
        stats = output[output.rindex("Job stats:") :]
        jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
        return {name: count for name, count in jobs.items() if name not in ("all", "total")}


def wrong(found: dict[str, set[str]]) -> dict[str, dict[str, set[str]]]:
    """Where the rules found for keys are not those of the matrix."""
    return {
        key: {"too many": rules - MATRIX[key][2], "missing": MATRIX[key][2] - rules}
        for key, rules in found.items()
        if rules != MATRIX[key][2]
    }


@pytest.fixture(scope="module")
def starts(tmp_path_factory) -> tuple[dict[str, dict], Path]:
    folder = tmp_path_factory.mktemp("inputs")
    return starting_configs(folder), folder


@pytest.fixture(scope="module")
def workflows(starts, tmp_path_factory) -> dict[str, Workflow]:
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda item: Workflow(tmp_path_factory.mktemp(item[0]), item[1]), starts[0].items())
        return dict(zip(starts[0], made, strict=True))


def test_every_leaf_key_has_a_row():
    assert leaves() == set(MATRIX)


def rules_of_changes(keys, workflows, starts) -> dict[str, set[str]]:
    """Key → the rules that run when it is changed."""
    configs, folder = starts

    def rules(key: str) -> set[str]:
        start, value, _ = MATRIX[key]
        return set(workflows[start].would_run(changed(configs[start], key, value, folder)))

    with ThreadPoolExecutor() as pool:
        return dict(zip(keys, pool.map(rules, keys), strict=True))


def test_every_change_of_a_key_runs_exactly_its_rules(workflows, starts):
    found = wrong(rules_of_changes(list(MATRIX), workflows, starts))
    assert not found, json.dumps(found, default=sorted, indent=1)


def test_with_snakemakes_record_it_is_the_same(starts, tmp_path):
    """Some keys, after `--touch`: then params and links both tell a change. A touched config that is another passes for
    nothing."""
    configs = starts[0]
    workflow = Workflow(tmp_path, configs["embedded"])
    workflow.snakemake(configs["embedded"], "--touch", "--forceall")
    assert workflow.would_run(configs["embedded"]) == {}
    keys = [key for key, (start, _, _) in MATRIX.items() if start == "embedded"][::20]
    assert len(keys) > 5
    found = wrong(rules_of_changes(keys, {"embedded": workflow}, starts))
    assert not found, json.dumps(found, default=sorted, indent=1)
    other = changed(configs["embedded"], "training.epochs", 9, starts[1])
    workflow.snakemake(other, "--touch", "--forceall")
    assert set(workflow.would_run(other)) == TRAINED


def test_data_and_models_that_are_copied_anew_rerun_nothing(workflows, starts):
    """Their content counts, not their date; and an unchanged config reruns nothing."""
    configs, folder = starts
    later = time.time() + 1000
    for file in folder.rglob("*"):
        os.utime(file, (later, later))
    for name in ("local", "folder", "gguf"):
        assert workflows[name].would_run(configs[name]) == {}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", DATA),  # test takes no prompt that training has
        ("attribution", {*ATTRIBUTED, "zero_shot", "table_zero_shot", "tested_model"}),
        ("test", {*TESTED, *VALIDATED}),
        ("validation", {"prepare_data", *VALIDATED}),
    ],
)
def test_sizes_of_local_data(split, expected, workflows, starts):
    config = changed(starts[0]["local"], f"data.sizes.{split}", 11, starts[1])
    assert set(workflows["local"].would_run(config)) == expected


def test_a_changed_prompt_prepares_that_tasks_data_only(workflows, starts):
    config = changed(starts[0]["embedded"], "tasks.*.prompt", "{review} so :", starts[1])
    jobs = workflows["embedded"].would_run(config)
    assert jobs["prepare_data"] == 4  # all splits of one task out of three
    assert jobs["multitask"] == 1


# Keys of other sections → what of continual learning they rerun.
OTHER_KEYS = {
    "training.epochs": set(),
    "attribution.aggregation": {"plain_attribution", *METHODS_TUNED},
    "selection.scope": METHODS_TUNED,
    "evaluation.label_score": {"untrained", *METHODS_TUNED},
    "compute.tuning_threads": METHODS_TUNED,
    "model.source.pretrain.training.epochs": CONTINUAL - {"prepare_data"},
}


def test_other_sections_rerun_of_continual_learning_what_they_concern(workflows, starts):
    start = starts[0]["continual"]
    own = CONTINUAL - {"report", "prepare_data", "plain_attribution"}  # which the main job has too
    for key, expected in OTHER_KEYS.items():
        found = set(workflows["continual"].would_run(changed(start, key, MATRIX[key][1], starts[1])))
        assert found & own == expected & own, key


def test_a_longer_sequence_learns_the_new_task_alone_and_another_order_shares_its_beginning(workflows, starts):
    config = copy.deepcopy(starts[0]["continual"])
    config["continual"]["tasks"]["c_places"] = {
        **{"name": "three", "family": "f", "source": {"suite": "place_inference"}, "prompt": "{premise} {hypothesis}"},
        **{"target": "label", "labels": {"yes": "yes", "no": "no", "maybe": "maybe"}},
    }
    config["continual"]["benchmarks"]["standard"] = {
        "1": ["c_films", "c_dishes", "c_places"],
        "2": ["c_dishes", "c_films"],
        "3": ["c_films", "c_dishes", "c_places"][:2],
    }
    jobs = workflows["continual"].would_run(config)
    assert jobs["learn_stage"] == jobs["test_stage"] == 3  # the new stage by three methods
    assert jobs["prepare_data"] == 3 and "tune_method" not in jobs


def test_editing_a_method_runs_its_own_stages_alone_and_a_new_one_is_a_file_and_a_line(workflows, starts):
    workflow, config = workflows["continual"], copy.deepcopy(starts[0]["continual"])
    methods = workflow.folder / "workflow" / "taskneurons" / "continual" / "methods"
    file, new = methods / "per_task_ft.py", methods / "mine.py"
    before = file.read_text()
    stages = {"learn_stage", "test_stage", *CONTINUAL_TABLES}
    try:
        file.write_text(before.replace("WholeModel(stage.base.model)", "WholeModel(model=stage.base.model)"))
        jobs = workflow.would_run(config)
        assert set(jobs) == stages and (jobs["learn_stage"], jobs["test_stage"]) == (2, 4)  # two tasks; four beginnings
        file.write_text(before)
        new.write_text(before.replace("Per-Task FT", "Mine"))
        config["continual"]["methods"]["mine"] = {"learning_rate": 0.1}
        jobs = workflow.would_run(config)
        assert set(jobs) == stages and (jobs["learn_stage"], jobs["test_stage"]) == (2, 4)
    finally:
        file.write_text(before)
        new.unlink(missing_ok=True)


def test_a_label_score_concerns_classification_only(workflows, starts):
    """Two tasks out of three; of the two with proportions, one."""
    config = changed(starts[0]["embedded"], "evaluation.label_score", "mean", starts[1])
    jobs = workflows["embedded"].would_run(config)
    rules = ("zero_shot", "deactivation", "damage", "tuned_evaluation", "proportion_evaluation")
    assert [jobs[rule] for rule in rules] == [2, 2, 2, 2, 1]
    config = changed(starts[0]["two groups"], "evaluation.label_score", "mean", starts[1])
    assert workflows["two groups"].would_run(config)["overlap_ablation"] == 1  # of two, one of which tests generation


# What is edited → the rules that run.
EDITS = {
    ("deactivation/switch_off.py", "index_fill_(1, index, 0)", "index_fill_(1, index, 0.0)"): {
        *EVALUATED,
        *DAMAGED,
        *OWN_DAMAGE,
        *FAITHFULNESS,
        *SET_EFFECTS,
    },
    ("deactivation/set_effects.py", "= -own.sum", "= -1 * own.sum"): SET_EFFECTS,
    ("generalisation/overlap_ablation.py", '"draw": cell.draw', '"draw": 1 * cell.draw'): ABLATED,
    ("generalisation/routed.py", "/ size", "/ (1 * size)"): GROUPED,
    ("tables/set_effects.py", "np.array([0.0, *shares])", "np.array([-1.0, *shares])"): SET_TABLES,
    ("tables/jaccard.py", '"chance"', '"by_chance"'): {"table_jaccard", "figure_jaccard", "report"},
    ("figures/jaccard.py", '"viridis"', '"magma"'): {"figure_jaccard", "report"},
    ("data/suite/words.py", '"river"', '"brook"'): EVERYTHING,
    ("report/findings/proofs.py", "Among the", "Of the"): {"report"},
    ("report/publish.py", "run.json", "record.json"): set(),
    ("attribution/criteria/gradient_norm.py", "norm(dim=1)", "norm(dim=1, p=2)"): FAITHFULNESS,
    ("attribution/criteria/activation_frequency.py", "values > 0", "values > 1"): {
        "activations",
        "select_activation_entropy",
        *DAMAGED,
        *FAITHFULNESS,
    },
    ("selection/rules/contrastive.py", "largest > 0", "largest > 1"): {
        *(FROM_BASE_COMPARED - {"select_without_universal"}),
        *DAMAGED,
        *OWN_DAMAGE,
        *SET_EFFECTS,
    },
    ("selection/rules/exclusive.py", "row != compared.own", "row > compared.own"): set(),  # no set is by this rule
    ("selection/rules/global.py", '"global")', '"per-layer")'): {
        *SELECTED,
        *OWN_DAMAGE,
        *SET_EFFECTS,
        "matched_selection",
        *TUNING,
    }
    - {"damage", *OWN_RATES},
    # Comments, docstrings and layout change nothing; nor does what is only said, nor the runner and the like.
    ("deactivation/damage.py", "    tried = read_sets", "    # a comment\n\n    tried = read_sets"): set(),
    ("deactivation/switch_off.py", '"""Switching neurons off', '"""Neurons are switched off'): set(),
    ("core/step.py", "%(asctime)s %(message)s", "%(levelname)s %(message)s"): set(),
    ("core/progress.py", "left = (now - start)", "left = 2 * (now - start)"): set(),
    ("core/machine.py", "--porcelain", "--short"): set(),
    ("core/artifacts.py", "indent=2", "indent=4"): set(),
    ("tuning/tune.py", "made of no mask", "not made of any mask"): set(),
    ("data/prepare.py", "%d were asked for", "%d were wanted"): set(),
    ("training/loop.py", "lower learning_rate", "take a lower learning_rate"): set(),
    ("deactivation/evaluate.py", 'f"deactivation {task.key}"', 'f"switching off {task.key}"'): set(),
    ("config/settings.py", '"""As tables show it"""', '"""As the tables show it"""'): set(),
    ("config/settings.py", "steps: Count = 8", "steps: Count = 9"): set(),  # the config says its value
    ("core/code_identity.py", "FORMAT = 1", "FORMAT = 2"): EVERYTHING,
}


@pytest.mark.parametrize(("edit", "expected"), EDITS.items(), ids=[f"{module} {new[:20]}" for module, _, new in EDITS])
def test_editing_a_module_runs_exactly_the_steps_that_use_it(edit, expected, workflows, starts):
    workflow = workflows["embedded"]
    module, old, new = edit
    file = workflow.folder / "workflow" / "taskneurons" / module
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new, 1))
    try:
        assert set(workflow.would_run(starts[0]["embedded"])) == expected
    finally:
        file.write_text(before)
