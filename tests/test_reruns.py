"""Reruns that are exactly right: what a change of every config key, or of a library module, makes Snakemake run.

No step is run here. All outputs are made as empty files and recorded with `snakemake --touch`; a dry-run with a changed
config then says which rules would run.
"""

import sys
from pathlib import Path

SNAKEMAKE = [str(Path(sys.executable).parent / "snakemake")]

REPORT = {"report"}
SCORE_TABLES = {
    "table_deactivation",
    "table_deactivation_means",
    "table_deactivation_effect",
    "table_specificity",
    "table_cross_task_deactivation",
}
SHOWN = {"figure_deactivation", "figure_cross_task_deactivation", *REPORT}
MASK_TABLES = {"table_jaccard", "table_neurons_per_layer"}
MASK_FIGURES = {"figure_jaccard", "figure_neurons_per_layer"}
EVALUATED = {"evaluation", *SCORE_TABLES, *SHOWN}
ALL_EVALUATED = {*EVALUATED, "table_zero_shot"}
NAMED = {*SCORE_TABLES, *SHOWN, *MASK_TABLES, *MASK_FIGURES, "table_zero_shot"}
SELECTED = {"selection", "random_selection", *MASK_TABLES, *MASK_FIGURES, *EVALUATED}
SCORED = {"attribution", "table_overlap_rate", *SELECTED}
TRAINED = {"multitask", *SCORED}
BASE = {"base_model", "table_zero_shot", *TRAINED}
DATA = {"prepare_data", "table_zero_shot", *TRAINED}
EVERYTHING = {"pretraining_text", "prepare_data", *BASE}

SUITE_SOURCE = {"suite": "dish_reviews"}
HUB_MODEL = {"hub": "someone/model", "revision": "main"}
PRETRAIN = "model.source.pretrain"

# Leaf key of the schema → (the start config, its changed value, the rules that run). A `*` stands for the first task,
# label or group.
EMBEDDED, REAL, FROM_HUB, FOLDER = "embedded", "real", "from-hub", "folder"
MATRIX = {
    "run": (EMBEDDED, "other", EVERYTHING),
    "seed": (EMBEDDED, 1, EVERYTHING),
    "data_root": (REAL, "{other}", {"prepare_data", *DATA}),
    "weights": (REAL, "{other}/b.gguf", BASE),
    "compute.device": (EMBEDDED, "auto", {*BASE, "evaluation"}),
    "compute.dtype": (EMBEDDED, "bfloat16", {*BASE, "evaluation"}),
    "compute.training_threads": (EMBEDDED, 1, BASE),
    "compute.inference_threads": (EMBEDDED, 2, {*SCORED, "table_zero_shot"}),
    "model.name": (EMBEDDED, "other", {*SCORE_TABLES, *SHOWN, "table_zero_shot"}),
    f"{PRETRAIN}.documents_per_task": (EMBEDDED, 7, {"pretraining_text", *BASE}),
    f"{PRETRAIN}.vocabulary": (EMBEDDED, 999, BASE),
    f"{PRETRAIN}.architecture.hidden_size": (EMBEDDED, 64, BASE),
    f"{PRETRAIN}.architecture.intermediate_size": (EMBEDDED, 64, BASE),
    f"{PRETRAIN}.architecture.num_hidden_layers": (EMBEDDED, 2, BASE),
    f"{PRETRAIN}.architecture.num_attention_heads": (EMBEDDED, 2, BASE),
    f"{PRETRAIN}.architecture.max_position_embeddings": (EMBEDDED, 64, BASE),
    f"{PRETRAIN}.training.epochs": (EMBEDDED, 9, BASE),
    f"{PRETRAIN}.training.batch_size": (EMBEDDED, 9, BASE),
    f"{PRETRAIN}.training.learning_rate": (EMBEDDED, 0.5, BASE),
    f"{PRETRAIN}.training.warmup": (EMBEDDED, 0.5, BASE),
    f"{PRETRAIN}.training.weight_decay": (EMBEDDED, 0.5, BASE),
    f"{PRETRAIN}.training.max_gradient_norm": (EMBEDDED, 0.5, BASE),
    "model.source.hub": (FROM_HUB, "someone/else", BASE),
    "model.source.revision": (FROM_HUB, "v2", BASE),
    "model.source.trust_remote_code": (FROM_HUB, True, BASE),
    "model.source.path": (FOLDER, "{model2}", BASE),
    "model.source.gguf": (FOLDER, "{other}/b.gguf", BASE),
    "tasks.*.name": (EMBEDDED, "Other", NAMED),
    "tasks.*.family": (EMBEDDED, "other", NAMED),
    "tasks.*.counterpart": (EMBEDDED, None, NAMED),
    "tasks.*.prompt": (EMBEDDED, "{review} so :", {"prepare_data", *DATA}),
    "tasks.*.target": (EMBEDDED, "review", {"prepare_data", *DATA}),
    "tasks.*.metric": (EMBEDDED, "rougeL", {"prepare_data", *NAMED, *DATA}),
    "tasks.*.labels.*": (EMBEDDED, "other", {"prepare_data", *DATA}),
    "tasks.*.source.suite": (EMBEDDED, "gift_pairs", EVERYTHING),
    "tasks.*.source.hub.id": (FROM_HUB, "someone/else", DATA),
    "tasks.*.source.hub.config": (FROM_HUB, "other", DATA),
    "tasks.*.source.hub.revision": (FROM_HUB, "v2", DATA),
    "tasks.*.source.hub.references": (FROM_HUB, "text", DATA),
    "tasks.*.source.hub.splits.train": (FROM_HUB, "other", DATA),
    "tasks.*.source.hub.splits.validation": (FROM_HUB, "other", DATA),
    "tasks.*.source.hub.splits.test": (FROM_HUB, "other", DATA),
    "tasks.*.source.local.path": (REAL, "second", DATA),
    "tasks.*.source.local.references": (REAL, "text", DATA),
    "tasks.*.source.local.splits.train": (REAL, "test", DATA),
    "tasks.*.source.local.splits.validation": (REAL, "test", {"prepare_data", "attribution"} | DATA - {"multitask"}),
    "tasks.*.source.local.splits.test": (REAL, "validation", {"prepare_data"} | ALL_EVALUATED),
}
