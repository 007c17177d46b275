"""Every key of the config: its type, its default, its bounds, and what it means.

This is the one source: the check of a config, its messages, the JSON schema for editors (`workflow/schemas/`) and the
reference page `docs/configuration.md` are made of these classes. Defaults suit a real model; `config.yaml` holds the
values of the embedded suite. The text below a key is its documentation.

The classes without "section" in their names are parts that a step takes as they are; the sections of the config add
what only the workflow needs, such as seeds, of which each job gets one.
"""

import re
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

# What a text may be → in words. pydantic matches the whole text: `$` takes no line break before the end.
PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "take letters, digits, _, . and -, and begin with a letter or a digit",
    r"^[a-z0-9][a-z0-9_]*$": "take lower-case letters, digits and _, and begin with a letter or a digit",
    r"^[a-z][a-z0-9-]*$": "take lower-case letters, digits and -, and begin with a letter",
    r"^(auto|cpu|spread|cuda(:[0-9]{1,3})?)$": "write auto, cpu, cuda, cuda:0 (or another number), or spread",
}
NAME, KEY, RULE, DEVICE = PATTERNS

# Control characters, half characters (surrogates) and what no XML file, as an SVG, may hold.
UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# What Snakemake takes for a wildcard or a variable, and datasets for a pattern or a chain, with no way round it.
PATTERN_IN_A_PATH = re.compile(r"[{}*?\[\]]|::|<[a-z][a-z0-9_]*>")
LARGEST_WHOLE = 2**32 - 1  # the largest seed that every random generator takes
LONGEST_VALUE = 120  # characters of a value that a message shows
LONGEST_FILE_NAME = 240  # bytes; file systems take 255, and endings and marks of unfinished files come to it
LONGEST_PATH = 1000  # bytes; systems take 4096, and a data root or the working folder comes to it


def brief(value: Any) -> str:
    """A value as a message shows it, in one line and not too long."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number (YAML reads yes, no, on and off as true and false)")
    return value


def _not_too_large(value: int) -> int:
    if value > LARGEST_WHOLE:
        raise ValueError(f"is too large: at most {LARGEST_WHOLE}")
    return value


def _showable(text: str) -> str:
    """A text of one line, which tables, figures, logs and files can hold."""
    if found := UNSHOWABLE.search(text):
        raise ValueError(f"holds the control character {found[0]!r}: leave it out")
    return text


def _showable_lines(text: str) -> str:
    """A text that may have several lines."""
    _showable(text.replace("\n", "").replace("\t", ""))
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is nothing but white space")
    return text


def _no_outer_space(text: str) -> str:
    if text != text.strip():
        raise ValueError(f"{brief(text)} begins or ends in white space: leave it out")
    return text


def path_text(text: str) -> str:
    """A path that the system, Snakemake and datasets take as it stands; raises a ValueError where it is none."""
    if len(text.encode()) > LONGEST_PATH:
        raise ValueError(f"is too long for a path: at most {LONGEST_PATH} bytes")
    if any(len(name.encode()) > LONGEST_FILE_NAME for name in text.split("/")):
        raise ValueError(f"is too long for a file's name: at most {LONGEST_FILE_NAME} bytes")
    if found := PATTERN_IN_A_PATH.search(text):
        raise ValueError(f"{brief(text)}: {found[0]} in a path is taken for a pattern: rename the file or folder")
    return text


def percent_text(k: float) -> str:
    """A percentage as file names and conditions show it: never in scientific notation, no needless zeros."""
    return f"{k:.12f}".rstrip("0").rstrip(".")


def _fits_file_names(k: float) -> float:
    if float(percent_text(k)) != k:
        raise ValueError(f"{k!r} has more than the 12 digits behind the point that file names hold: round it")
    return k


def _all_different(values: list[Any]) -> list[Any]:
    if repeated := [value for number, value in enumerate(values) if value in values[:number]]:
        raise ValueError(f"{repeated[0]!r} is there twice")
    return values


# Numbers may be written as texts: 1e-4 is one to YAML, and so is every number within a mapping that --config is given.
# So may a whole number with nothing behind the point: 2.0 is 2, also in every spec; 2.5 is refused.
Whole = Annotated[int, BeforeValidator(_no_truth_value), AfterValidator(_not_too_large)]
Number = Annotated[float, BeforeValidator(_no_truth_value)]
Count = Annotated[Whole, Field(ge=1)]
CountOrNone = Annotated[Whole, Field(ge=0)]
Threads = Annotated[Whole, Field(ge=1, le=1024)]
Percent = Annotated[Number, Field(gt=0, le=100)]
NeuronPercent = Annotated[Percent, AfterValidator(_fits_file_names)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
Different = AfterValidator(_all_different)
Seeds = Annotated[list[CountOrNone], Field(min_length=1), Different]
Percents = Annotated[list[NeuronPercent], Field(min_length=1), Different]

Name = Annotated[str, StringConstraints(pattern=NAME, max_length=100)]
TaskKey = Annotated[str, StringConstraints(pattern=KEY, max_length=60)]
RuleName = Annotated[str, StringConstraints(pattern=RULE, max_length=60)]
Lines = Annotated[str, StringConstraints(min_length=1), AfterValidator(_not_blank), AfterValidator(_showable_lines)]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_not_blank), AfterValidator(_showable)]
Shown = Annotated[Text, Field(max_length=200), AfterValidator(_no_outer_space)]
Column = Annotated[Text, Field(max_length=200)]
FilePath = Annotated[Text, AfterValidator(path_text)]
LabelValue = Annotated[str, AfterValidator(_showable), AfterValidator(_no_outer_space)]


class Settings(BaseModel):
    """Settings with known keys only, which nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StepSettings(Settings):
    """What a step's result depends on besides its files; a step adds its own."""

    step: str = ""
    """The step's name."""
    code: dict[str, Any] = {}
    """The identity of the code that it runs."""
    wildcards: dict[str, str] = {}
    """The names that tell this job from others of its rule."""
    inputs: dict[str, str | list[str]] = {}
    """The links of its input files in the chain, by keyword."""

    def spec(self) -> dict[str, Any]:
        """All of it, as JSON can hold it: what artifacts say of the step that made them."""
        return self.model_dump(mode="json")


# ---- compute ----


class DeviceSettings(Settings):
    """Where and how precisely a step computes."""

    device: str = "auto"
    """As compute.device."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """As compute.dtype."""
    weights: Literal["float32", "compute"] = "float32"
    """The dtype in which the weights are held: float32, or that of the computation."""
    threads: Count = 1
    """Compute threads."""


class ComputeSection(Settings):
    """Devices, precision and threads."""

    device: Annotated[str, StringConstraints(pattern=DEVICE)] = "auto"
    """auto (CUDA where there is one), cpu, cuda, cuda:0, …, or spread (the layers over all CUDA devices)"""
    gpu: Literal["a100-40gb", "a100-80gb", "h100", "h200", "l40s", "rtx-4090", "measured"] | None = None
    """The kind of GPU that jobs will have (measured: this machine's): times are planned for it, and what is larger than
    its memory is refused; without one, times are an a100-80gb's. With device: auto it says that jobs will have one"""
    gpus: Count = 1
    """How many of them a job has (more than one with device: spread alone)"""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the computation: float32, bfloat16, float16, or auto (bfloat16 where the device has matrix units for it)"""
    frozen_weights: Literal["float32", "compute"] = "float32"
    """The dtype of weights that are not trained: float32, or compute (that of the computation)"""
    trained_weights: Literal["float32", "compute"] = "float32"
    """The dtype of weights, gradients and moments where the whole model is trained: float32 (16 bytes a parameter), or
    compute (8 in bfloat16, less exact)"""
    training_threads: Threads = 2
    """Compute threads of a training of the whole model; never taken from --cores"""
    tuning_threads: Threads = 2
    """Compute threads of neuron tuning, of which several can run at once"""
    inference_threads: Threads = 2
    """Compute threads of scoring and evaluation, of which several can run at once"""
    training_batch_tokens: Count = 16384
    """The most tokens in one pass of a training, padding counted; a batch with more is split"""
    gradient_checkpointing: bool = False
    """Less memory in training, for more time"""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 600
    """A training keeps its state on disk at most so often, to go on from after a kill or a time limit"""

    @model_validator(mode="after")
    def _several_are_spread_over(self) -> "ComputeSection":
        if self.gpus > 1 and self.device != "spread":
            raise ValueError(f"gpus: {self.gpus} are for device: spread alone, and device is {self.device}")
        return self


# ---- training ----


class Rounds(Settings):
    """How much a training sees."""

    epochs: Count = 2
    """How often the training sees every example"""
    batch_size: Count = 16
    """Examples in a batch"""


class Peak(Settings):
    """How fast it learns."""

    learning_rate: Positive = 1e-4
    """Its peak"""


class Course(Settings):
    """How its steps are made."""

    warmup: Share = 0.05
    """Share of the steps in which the learning rate rises"""
    schedule: Literal["linear", "constant"] = "linear"
    """After the warm-up: linear (down to zero) or constant"""
    weight_decay: Annotated[Number, Field(ge=0)] = 0.01
    """AdamW's"""
    max_gradient_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it"""


class Optimisation(Course, Peak, Rounds):
    """How a training goes: AdamW over shuffled batches. (The fields of the last class come first.)"""


class WatchedOptimisation(Optimisation):
    """A training that may look at validation examples."""

    validation: CountOrNone = 0
    """Validation examples a task whose loss is measured after each epoch"""
    patience: CountOrNone = 0
    """Stop after so many epochs without a better one and go back to the best; 0: never"""


class TrainingPasses(Settings):
    """How a training's batches go through the model."""

    batch_tokens: Count = 16384
    """As compute.training_batch_tokens."""
    gradient_checkpointing: bool = False
    """As compute.gradient_checkpointing."""


class LoopSettings(TrainingPasses, WatchedOptimisation):
    """What the training loop takes."""


class TrainingSection(WatchedOptimisation):
    """The multi-task fine-tuning that makes the "original" model."""

    seeds: Seeds = [0]
    """One model for each seed"""


# ---- model ----


class Architecture(Settings):
    """Keys of transformers' LlamaConfig."""

    hidden_size: Count = 128
    """Width of the residual stream"""
    intermediate_size: Count = 512
    """Neurons a layer"""
    num_hidden_layers: Count = 4
    """Layers"""
    num_attention_heads: Count = 4
    """Heads a layer; a head's width must be an even whole number"""
    max_position_embeddings: Count = 256
    """The longest text, in tokens"""

    @model_validator(mode="after")
    def _heads_fit(self) -> "Architecture":
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of twice num_attention_heads "
                f"({self.num_attention_heads}): a head's width must be an even whole number"
            )
        return self


class PretrainingTraining(Optimisation):
    """The pre-training of the embedded base model."""

    epochs: Count = 3
    """How often the training sees every document"""
    batch_size: Count = 8
    """Documents in a batch; small: what a document concludes is few of its tokens, and takes many steps to learn"""
    learning_rate: Positive = 2e-3
    """Its peak"""


class Pretraining(Settings):
    """A small Llama that the workflow pre-trains itself, on plain text of the embedded suite."""

    documents_per_task: Count = 1600
    """Plain-text documents a task in the pre-training text"""
    vocabulary: Annotated[Whole, Field(ge=300)] = 1280
    """At most so many tokens of the byte-level BPE tokenizer"""
    architecture: Architecture = Architecture()
    """The model's sizes"""
    training: PretrainingTraining = PretrainingTraining()
    """The pre-training"""


class ModelSource(Settings):
    """Where the base model comes from: exactly one of pretrain, hub (with revision), path and gguf."""

    pretrain: Pretraining | None = None
    """Pre-train a small Llama on the suite's text"""
    hub: Text | None = None
    """An id on the Hugging Face hub"""
    revision: Text | None = None
    """The hub's branch, tag or commit"""
    trust_remote_code: bool = False
    """Let the hub's model run code of its own"""
    path: FilePath | None = None
    """A local model folder, relative to data_root, or to where snakemake runs"""
    gguf: FilePath | None = None
    """A GGUF file, dequantised once"""

    @model_validator(mode="after")
    def _exactly_one(self) -> "ModelSource":
        given = [key for key in ("pretrain", "hub", "path", "gguf") if getattr(self, key) is not None]
        alone = given != ["hub"] and (self.revision is not None or self.trust_remote_code)
        if len(given) != 1 or alone or (given == ["hub"] and self.revision is None):
            if given == ["hub"] and self.revision is None:
                raise ValueError("hub needs a revision: a branch (main), a tag or a commit")
            raise ValueError(
                "give exactly one of pretrain (as in config.yaml), hub with revision, path, or gguf; it has "
                f"{', '.join(sorted(self.model_fields_set)) or 'none'}. A config without `tasks` is merged into "
                "config.yaml, whose source is pretrain: give your own tasks, and config.yaml is left out"
            )
        return self


class ModelSection(Settings):
    """The model."""

    name: Shown
    """As tables show it"""
    source: ModelSource
    """Where it comes from"""
    architecture: dict[str, str | int | float | bool | None] | None = None
    """Its sizes, as in its config.json: memory and time are planned by them before a hub's model is here"""


# ---- tasks and data ----


class Sizes(Settings):
    """Examples of each split."""

    train: Count = 2000
    """Examples that trainings learn from"""
    attribution: Annotated[Whole, Field(ge=2)] = 100
    """Examples that neurons are scored on; no training sees them"""
    validation: Count = 100
    """Examples whose loss a training may watch"""
    test: Count = 200
    """Examples that models are tested on"""


class TokenBudget(Settings):
    """The most tokens of a prompt and of a target (end of text not counted)."""

    prompt: Count = 256
    """Of a prompt; one with more loses what stands before its closing words"""
    target: Count = 64
    """Of a target; one with more loses its end"""


class DataSection(Settings):
    """How much of the data is taken."""

    sizes: Sizes = Sizes()
    """Examples a task; a task may have its own; data with fewer give what they have, with a warning"""
    tokens: TokenBudget = TokenBudget()
    """Token budgets; a task may have its own"""


class Splits(Settings):
    """The source's names of the splits."""

    train: Text = "train"
    """Training and attribution examples come from it"""
    validation: Text = "validation"
    """Attribution examples too, where train has too few"""
    test: Text = "test"
    """Test examples"""


class Hub(Settings):
    """A data set on the Hugging Face hub."""

    id: Text
    """Its id"""
    config: Text | None = None
    """Its configuration, where it has several"""
    revision: Text
    """Branch, tag or commit"""
    splits: Splits = Splits()
    """Its names of the splits; slices as in train[:80%] are allowed"""
    columns: dict[Column, Column] = {}
    """Name of a column in this config → the hub's, where that is another"""
    references: Column | None = None
    """The column with all right answers (a list), for generation"""


class Local(Settings):
    """A local folder with one file a split, or one data file alone."""

    path: FilePath
    """A folder with <split>.parquet, .json, .jsonl or .csv, or one such file, which is split 80 : 10 : 10 by the seed;
    relative to data_root, or to where snakemake runs"""
    splits: Splits = Splits()
    """The files' names without their endings"""
    references: Column | None = None
    """The column with all right answers (a list), for generation"""

    @field_validator("splits")
    @classmethod
    def _are_file_names(cls, splits: Splits) -> Splits:
        for name in (splits.train, splits.validation, splits.test):
            path_text(name)
        return splits


class TaskSource(Settings):
    """Where a task's data come from: suite, or hub and/or local (which is taken with data_root, or without hub)."""

    suite: Text | None = None
    """A task of the embedded suite"""
    hub: Hub | None = None
    """A data set on the hub"""
    local: Local | None = None
    """A local copy"""

    @model_validator(mode="after")
    def _one_place(self) -> "TaskSource":
        if self.suite is None and self.hub is None and self.local is None:
            raise ValueError("is empty; give suite, hub or local")
        if self.suite is not None and (self.hub is not None or self.local is not None):
            raise ValueError("give either suite, or hub and local")
        return self


class Task(Settings):
    """A task: its data, its prompt, its answers."""

    name: Shown | None = None
    """As tables show it; without one, the task's key"""
    family: Shown
    """Tasks of one family are expected to share neurons"""
    counterpart: Shown | None = None
    """The paper's task whose published figures stand beside it"""
    source: TaskSource
    """Where its data come from"""
    prompt: Lines
    """A template of the source's columns, as in "Review: {text}\\nOpinion:" """
    target: Column
    """The column of the answer"""
    labels: dict[LabelValue, Shown] | None = None
    """Classification: value of the target column → label word"""
    nulls: Literal["error", "skip"] = "error"
    """What a row with a null in a column that is read does: stop the run, or be skipped and counted in the tables"""
    metric: Literal["accuracy", "rougeL"] | None = None
    """Without one: accuracy where there are labels, else rougeL"""
    sizes: Sizes | None = None
    """Its own data.sizes; what is not given is as there"""
    tokens: TokenBudget | None = None
    """Its own data.tokens; what is not given is as there"""

    @field_validator("prompt")
    @classmethod
    def _is_a_template(cls, prompt: str) -> str:
        try:
            fields = [part[1:] for part in Formatter().parse(prompt) if part[1] is not None]
        except ValueError as problem:
            raise ValueError(f"{brief(prompt)} is no template: {problem}") from problem
        if not fields:
            raise ValueError(
                f"{brief(prompt)} names no column, so that all prompts would be the same: write one in braces"
            )
        for column, form, conversion in fields:
            if not column or column.isdigit() or form or conversion or set(column) & set(".["):
                raise ValueError(
                    f"{brief(prompt)}: in braces stands a column's name alone, no number and without . : ! ["
                )
        if prompt != prompt.rstrip():
            raise ValueError("ends in white space; the target follows after one space anyway")
        return prompt

    @field_validator("labels")
    @classmethod
    def _words_differ(cls, labels: dict[str, str] | None) -> dict[str, str] | None:
        if labels is not None and len(labels) < 2:
            raise ValueError("a classification task has at least two labels")
        if labels is not None and len({" ".join(word.split()) for word in labels.values()}) < len(labels):
            raise ValueError("two labels have the same word, or words that differ in white space alone")
        return labels

    @field_validator("name")
    @classmethod
    def _has_a_place_in_legends(cls, name: str | None) -> str | None:
        if name is not None and name.startswith("_"):
            raise ValueError(f"{name!r} begins with _, which figures' legends leave out")
        return name

    @model_validator(mode="after")
    def _metric_fits(self) -> "Task":
        if self.metric is not None and (self.metric == "accuracy") != (self.labels is not None):
            raise ValueError(f"metric {self.metric!r} {'takes no' if self.labels else 'needs'} labels")
        return self


class ResolvedSource(Settings):
    """The one place where a task's data come from: suite, hub or local."""

    suite: str | None = None
    """A task of the suite."""
    hub: str | None = None
    """A data set's id."""
    config: str | None = None
    """Its configuration."""
    revision: str | None = None
    """Its revision."""
    local: str | None = None
    """A folder with a file for each split, or a file with all examples."""
    splits: dict[str, str] | None = None
    """Our name of a split → the source's; None of the suite, and of one file that is split by the seed."""
    columns: dict[str, str] = {}
    """Our name of a column → the source's, where that is another."""
    references: str | None = None
    """The column with all right answers."""


class PreparedTask(Settings):
    """What the preparation of a task's data needs of its config entry: nothing that is only shown."""

    source: ResolvedSource
    """Where its data come from."""
    prompt: str
    """As in the config."""
    target: str
    """As in the config."""
    metric: Literal["accuracy", "rougeL"]
    """As in the config, or what follows from the labels."""
    labels: dict[str, str] | None
    """As in the config."""
    nulls: Literal["error", "skip"] = "error"
    """As in the config."""


# ---- attribution and selection ----

Ablation = Literal["zero", "mean"]


class Passes(Settings):
    """How many examples go through the model at once."""

    batch_size: Count = 16
    """The most samples in a batch"""
    batch_tokens: Count = 4096
    """The most tokens in a batch, padding counted; bounds the memory on a CPU"""


class Scoring(Passes):
    """What the score is."""

    aggregation: Literal["sample", "token", "total"] = "sample"
    """sample: |sum over a sample's tokens|, mean over samples; token: |.| at each; total: |sum of all|"""
    loss: Literal["mean", "sum"] = "mean"
    """Over a sample's target tokens: mean or sum"""
    reference: Ablation = "zero"
    """What a neuron's output is held against: zero (the paper's score), or its mean output over tokens and tasks"""


class TaskScoring(Scoring):
    """How a task's scores are made."""

    shards: Count = 1
    """Jobs among which each task's samples are split"""
    bootstrap: CountOrNone = 100
    """Replicates over attribution examples, for the overlap's intervals"""


class AttributionSection(TaskScoring):
    """The scores."""

    model: Literal["multitask", "base"] = "multitask"
    """Whose scores choose the neurons to switch off: multitask (the model itself) or base"""


class SelectionSection(Settings):
    """Which neurons are a task's own, and their random control."""

    k: NeuronPercent = 10
    """Percent of all neurons that are a task's own"""
    scope: Literal["global", "per-layer"] = "global"
    """global: the top k % of all layers together; per-layer: of each layer"""
    random_draws: Count = 3
    """Random sets of the same number"""
    random_scope: Literal["global", "per-layer"] = "global"
    """Matched in number over all layers together (global) or in each layer (per-layer)"""
    core_share: Percent = 100
    """Percent of the tasks in whose top k a neuron must be to belong to the shared core"""


class Subsets(Settings):
    """Disjoint sets of examples by which the stability of the scores is judged."""

    sizes: Annotated[list[Count], Field(min_length=1), Different] = [2, 4, 8, 16, 32]
    """Examples in each set; a size over half of a task's examples is left out"""
    repeats: Count = 5
    """Pairs of sets of each size"""


class StabilitySection(Subsets):
    """Agreement of the top selection.k from disjoint sets of attribution examples."""

    enough: Percent = 80
    """Percent of agreement (Jaccard) that the report calls enough"""


# ---- deactivation ----


class DamageExamples(Settings):
    """On what the damage is measured."""

    examples: Count = 8
    """Test examples a task for the rise of the target tokens' loss, and validation examples for equal own damage"""
    scored: dict[RuleName, Percents] = {}
    """Of these sets accuracy or ROUGE-L is measured too; of the task's own top selection.k it is anyway"""
    scored_examples: Count = 12
    """Test examples a task for that"""


class DamageSection(DamageExamples):
    """What is lost when sets by several rules are switched off."""

    rules: dict[RuleName, Percents] = {"global": [3, 10], "contrastive": [3, 10], "random": [3, 10]}
    """Rule (a file of `workflow/taskneurons/selection/rules/`, or random: as many as the top k) → its k, in percent"""


class SpecificitySection(Settings):
    """Own sets against other tasks', by what chooses them and what switches them off, on the examples of damage.

    The task's own top k (in selection.scope) and the contrastive sets, chosen by scores of both references, are each
    switched off by both ablations. Sets are compared at equal k, and at equal own damage, for a set that does more harm
    to everything is not more specific. Equal own damage is found on validation examples: the target is the least damage
    to the own task that any of the eight ways does at the largest k of the grid, and each way's k is the first at which
    its damage reaches it.
    """

    percents: Percents = [3, 10]
    """The k of the sets that are compared at equal k"""
    grid: Percents = [0.1, 0.3, 1, 3, 10]
    """The k at which the damage to the own task is measured on validation examples"""


class Sampling(Settings):
    """How the criteria are held against exact effects."""

    examples: Count = 8
    """Attribution examples a task"""
    neurons: Count = 100
    """About so many random neurons, equally many from each of"""
    layers: Count = 6
    """so many layers, spread evenly from bottom to top"""
    steps: Count = 8
    """Of the integrated gradients"""


class FaithfulnessSection(Sampling):
    """How well the criteria tell the exact effect of switching off single neurons."""

    tasks: Literal["all"] | Annotated[list[TaskKey], Field(min_length=1), Different] = "all"
    """all, or a list of tasks"""
    top: Percent = 10
    """Percent of the sampled neurons that count as the truly most important"""


class SetSizes(Settings):
    """Sets of growing size, and on what they are switched off."""

    examples: Count = 8
    """Test examples a task"""
    shares: Percents = [0.1, 0.3, 1, 3, 10, 30, 50]
    """Percent of all neurons in a set"""
    random_draws: Count = 1
    """Random sets of each size, for each task its own"""


class SetFaithfulnessSection(SetSizes):
    """What whole sets of neurons do together: how far single scores add up to it, sufficiency and necessity."""

    tasks: Literal["all"] | Annotated[list[TaskKey], Field(min_length=1), Different] = "all"
    """all, or a list of tasks"""


# ---- neuron tuning ----


class Proportions(Settings):
    """Single tasks trained alone on growing proportions of their own neurons (Figure 6)."""

    tasks: Literal["all"] | Annotated[list[TaskKey], Field(min_length=1), Different] = "all"
    """all, or a list of tasks"""
    percents: Percents = [1, 10, 100]
    """Of all neurons, those with the highest scores (proportions: null does without)"""
    seeds: Seeds = [0]
    """One training for each seed"""


def _some_to_watch(value: int) -> int:
    if value < 1:
        raise ValueError(f"{value} is too few: the learning rates are chosen by the loss on them, so take at least 1")
    return value


class TuningOptimisation(Course, Rounds):
    """A training of neurons, without its learning rate, which is chosen by validation loss."""

    epochs: Count = 1
    """How often the training sees every example"""
    batch_size: Count = 8
    """Examples in a batch"""
    validation: Annotated[Whole, AfterValidator(_some_to_watch)] = 16
    """Validation examples a task: their loss chooses the learning rates, makes the curves, and may stop a training"""
    patience: CountOrNone = 0
    """Stop after so many epochs without a better one and go back to the best; 0: never"""


class TuningLoop(TrainingPasses, TuningOptimisation):
    """What the training loop takes, but for the learning rate."""

    def at(self, learning_rate: float) -> LoopSettings:
        """The settings of a training at a learning rate."""
        return LoopSettings(**self.model_dump(), learning_rate=learning_rate)


class TuningTraining(TuningOptimisation):
    """The trainings of neuron tuning."""

    seeds: Seeds = [0]
    """One training of each set for each seed; the learning rates are chosen with the first"""


def _several(values: list[float]) -> list[float]:
    if len(values) < 2:
        raise ValueError(f"{brief(values)} is too short: give at least two, by whose ratio the grid can be extended")
    return values


class RateSearch(Settings):
    """How the learning rate of a kind of set is found."""

    grid: Annotated[list[Positive], AfterValidator(_several), Different] = [3e-5, 3e-4, 3e-3]
    """Learning rates (peaks) that are tried"""
    extensions: CountOrNone = 3
    """Where the best lies at an end of the grid, so many more are tried beyond, each by the ratio of its neighbours"""


class Rates(RateSearch):
    """The learning rates: for each kind of set the one with the lowest validation loss, and a common one.

    Only train and validation examples decide, never the test split.
    """

    tasks: Literal["all"] | Annotated[list[TaskKey], Field(min_length=1), Different] = "all"
    """all, or a list of tasks on which they are tried"""
    common: Positive = 3e-5
    """One small rate at which all kinds of sets are trained besides"""


class Budgets(Settings):
    """Own, contrastive and random neurons trained at other k, at the rates chosen at selection.k and the common one.

    Their losses alone are kept.
    """

    tasks: Literal["all"] | Annotated[list[TaskKey], Field(min_length=1), Different] = "all"
    """all, or a list of tasks"""
    percents: Percents = [0.1, 0.3, 1, 3, 10]
    """The k, in percent; selection.k is trained anyway (budgets: null, the default, does without the others)"""


class NeuronTuningSection(Settings):
    """A task's own neurons of the base model, and control sets, trained on its data (Tables 2 and 7)."""

    random_draws: Count = 1
    """Random sets, with as many neurons in each layer as the task's own"""
    cross_training: bool = False
    """Every task's neurons on every other task's data too: the other reading of Figure 5"""
    examples: CountOrNone = 0
    """The most train examples of a task that these trainings see; 0: all"""
    rates: Rates = Rates()
    """The learning rates"""
    curve: Count = 4
    """At so many evenly spaced steps of each training, the last one included, the validation loss is measured"""
    budgets: Budgets | None = None
    """Other k; null to do without"""
    proportions: Proportions | None = Proportions()
    """Figure 6; null to do without"""
    training: TuningTraining = TuningTraining()
    """The training of each set"""


# ---- evaluation and tables ----


class Evaluation(Settings):
    """How predictions are made."""

    batch_size: Count = 50
    """The most examples in a batch"""
    label_score: Literal["sum", "mean"] = "sum"
    """Log-probability of a label's tokens: sum or mean"""


class EvaluationSection(Evaluation):
    """How models are tested."""

    cross_task_examples: Count = 50
    """Test examples a task on which other tasks' neurons are switched off or were trained"""


# ---- generalisation ----

TaskList = Annotated[list[TaskKey], Field(min_length=1), Different]


class GroupsSection(Settings):
    """Groups of tasks: what is learnt on training tasks, and how far it goes on test tasks that were not trained.

    Each group of training tasks is paired with each group of test tasks; a pair is called <train>-<test>, as CLS-GEN.
    """

    train: dict[Name, TaskList] = {}
    """Name → training tasks"""
    test: dict[Name, TaskList] = {}
    """Name → test tasks"""

    @model_validator(mode="after")
    def _no_task_on_both_sides(self) -> "GroupsSection":
        trained, tested = ({task for tasks in side.values() for task in tasks} for side in (self.train, self.test))
        if both := trained & tested:
            raise ValueError(f"{', '.join(sorted(both))} is in both train and test")
        if bool(self.train) != bool(self.test):
            raise ValueError("give groups of both, train and test, or of none")
        if len(self.pairs()) < len(self.train) * len(self.test):
            raise ValueError("two pairs of groups have the same name, <train>-<test>: name groups without hyphens")
        return self

    def pairs(self) -> dict[str, tuple[str, str]]:
        """Name of a pair → its training and its test group."""
        return {f"{train}-{test}": (train, test) for train in self.train for test in self.test}


class OverlapSection(Settings):
    """The overlap rate of the groups (Table 8)."""

    proportions: Percents = [10, 30, 50, 70, 100]
    """Of all neurons, each task's best"""


class ProportionSweep(Settings):
    """Groups trained on growing proportions of their tasks' neurons (Figure 2)."""

    percents: Percents = [10, 30, 50, 70, 100]
    """Of all neurons, each training task's best, of the base model"""
    reading: Literal["union", "own"] = "union"
    """union: all examples train the union of the tasks' neurons; own: each task's examples train only its neurons"""
    seeds: Seeds = [0]
    """One training for each seed"""


class OverlapAblation(Settings):
    """Groups trained on random neurons of which a given share are the test tasks' neurons (Tables 9 to 11)."""

    pairs: Literal["all"] | Annotated[list[Shown], Field(min_length=1), Different] = "all"
    """all, or a list of pairs of groups"""
    trained: Percents = [10, 30, 50]
    """Each task's best, in percent of all neurons: their union over the training tasks says how many are trained"""
    shares: Percents = [10, 30, 50, 70, 100]
    """Percent of the trained neurons that are in the union over the test tasks"""
    draws: Count = 3
    """Random draws of each cell"""


class SimilaritySection(Settings):
    """Similarity of two tasks' parameters inside a model trained on one of them (Figure 3, Table 4)."""

    draws: Count = 100
    """Pairs of random sets of the same sizes, which make the null band"""


class TransferSection(Settings):
    """What predicts transfer from one task to another."""

    probes: Count = 16
    """Attribution examples a task from which features and gradients of the base model are taken"""


class GeneralisationSection(Settings):
    """What training on some tasks does to others (section 3)."""

    train_examples: CountOrNone = 0
    """The most train examples a task in trainings of groups; 0: all"""
    examples: Count = 16
    """Test examples a task on which a trained model's loss is measured"""
    scored_examples: CountOrNone = 50
    """Test examples a task for accuracy or ROUGE-L; 0: losses alone"""
    proportions: ProportionSweep | None = None
    """Figure 2; null to do without"""
    overlap_ablation: OverlapAblation | None = None
    """Tables 9 to 11; null to do without"""
    similarity: SimilaritySection | None = None
    """Figure 3 and Table 4: fine-tunes the whole model once for each training task; null to do without"""
    transfer: TransferSection | None = None
    """What predicts transfer; null to do without"""


# ---- continual learning ----


class ContinualOptimisation(Course, Rounds):
    """The training of a stage, the same for all methods, without the learning rate."""

    epochs: Count = 1
    """How often a stage sees every example"""
    batch_size: Count = 8
    """Examples in a batch"""


class ContinualLoop(TrainingPasses, ContinualOptimisation):
    """What the training loop takes, but for the learning rate."""

    def at(self, learning_rate: float) -> LoopSettings:
        """The settings of a training at a learning rate."""
        return LoopSettings(**self.model_dump(), learning_rate=learning_rate)


class ContinualMethod(Settings):
    """A method in a run."""

    learning_rate: Positive | None = None
    """Its peak; without one it is chosen by validation accuracy, as continual.tuning says, and the knob with it"""
    knob: Annotated[Number, Field(ge=0)] | None = None
    """Its one other setting, where it has one and learning_rate is given; without one, the first of its grid"""
    orders: Literal["all"] | Annotated[list[Shown], Field(min_length=1), Different] = "all"
    """The orders that it learns, by their names: all, or a list"""


class ContinualTuning(Settings):
    """How a method's learning rate and knob are chosen: by accuracy on validation examples, alike for all methods.

    Each method learns the first order's first two tasks with each configuration; the final accuracy, mean over both,
    decides, and within one standard error of the best the smallest learning rate is taken.
    """

    grid: Annotated[list[Positive], AfterValidator(_several), Different] = [3e-5, 1e-4, 3e-4, 1e-3]
    """Learning rates (peaks) that are tried"""
    extensions: CountOrNone = 3
    """Where the best lies at an end of the grid, so many more are tried beyond, each by the ratio of its neighbours"""
    further: Annotated[CountOrNone, Field(le=2)] = 2
    """Configurations that are tried then: other values of the method's knob, or, where it has none, rates between"""
    examples: Count = 200
    """Validation examples a task"""


class ContinualSection(Settings):
    """Tasks learnt one after the other (Table 5, Figure 4)."""

    tasks: Annotated[dict[TaskKey, Task], Field(min_length=2)]
    """Classification tasks, as in tasks"""
    prompt: Lines = "{input}\nAnswer:"
    """The one form of all their prompts; {input} stands for the task's own, which should name neither task nor data"""
    named: bool = False
    """Whether each prompt begins with its task's and data set's name, as in earlier work: what tells the task away"""
    benchmarks: dict[Name, dict[Name, TaskList]]
    """Benchmark → order → its tasks in their sequence"""
    methods: Annotated[dict[RuleName, ContinualMethod], Field(min_length=1)]
    """Files of workflow/taskneurons/continual/methods/ → their settings"""
    k: NeuronPercent = 10
    """Percent of all neurons that a task trains, of the base model's scores"""
    seeds: Seeds = [0]
    """One training of each sequence for each seed"""
    sizes: Sizes = Sizes(train=1000, validation=200)
    """Examples a task; a task may have its own"""
    tokens: TokenBudget = TokenBudget(target=8)
    """Token budgets; a task may have its own"""
    training: ContinualOptimisation = ContinualOptimisation()
    """The training of a stage"""
    tuning: ContinualTuning = ContinualTuning()
    """How learning rates are chosen where methods give none"""
    exact_match: Literal["all", "last", "none"] = "last"
    """The stages after which answers are generated too, and held against the label words"""
    general: TaskKey | None = None
    """The task (of tasks) whose test prompts are the plain texts on which general ability is measured; null: none"""
    texts: Count = 32
    """So many plain texts"""

    @field_validator("prompt")
    @classmethod
    def _is_a_form(cls, prompt: str) -> str:
        if prompt.count("{input}") != 1 or "{" in prompt.replace("{input}", "") or "}" in prompt.replace("{input}", ""):
            raise ValueError(
                f"{brief(prompt)}: write {{input}} once, where a task's own prompt belongs, and no other braces"
            )
        return prompt


class TablesSection(Settings):
    """The intervals of the tables."""

    bootstrap: Count = 1000
    """Replicates over test examples"""
    confidence: Annotated[Number, Field(gt=0, lt=100)] = 95
    """Percent"""


class Config(Settings):
    """A run."""

    run: Name
    """Everything goes to results/<run>/"""
    seed: CountOrNone = 0
    """Of the generated or shuffled data, of the bootstrap over attribution examples and of the random neuron sets"""
    data_root: FilePath | None = None
    """Where local data folders and model folders are looked up, if they are not absolute"""
    weights: FilePath | None = None
    """A GGUF file that replaces model.source (for --config)"""
    compute: ComputeSection = ComputeSection()
    """Devices, precision, threads"""
    model: ModelSection
    """The model"""
    ablation: Ablation = "zero"
    """What switching a neuron off puts in its output's place: zero (the paper's way), or its mean output over tokens
    and tasks, except at attention sinks; where both are compared (specificity, set_faithfulness) it does not count"""
    training: TrainingSection = TrainingSection()
    """The multi-task fine-tuning that makes the "original" model"""
    data: DataSection = DataSection()
    """How much of the data is taken"""
    attribution: AttributionSection = AttributionSection()
    """The scores"""
    selection: SelectionSection = SelectionSection()
    """Which neurons are a task's own, and their random control"""
    damage: DamageSection = DamageSection()
    """What is lost when sets by several rules are switched off"""
    specificity: SpecificitySection = SpecificitySection()
    """Own sets against other tasks', by what chooses them and what switches them off; left out with one task alone"""
    faithfulness: FaithfulnessSection = FaithfulnessSection()
    """How well the criteria tell the exact effect of switching off single neurons"""
    set_faithfulness: SetFaithfulnessSection = SetFaithfulnessSection()
    """What whole sets of neurons do together: how far single scores add up to it, sufficiency and necessity"""
    stability: StabilitySection = StabilitySection()
    """Agreement of the top selection.k from disjoint sets of attribution examples"""
    neuron_tuning: NeuronTuningSection | None = NeuronTuningSection()
    """Neurons of the base model trained alone; null to do without (mixtures of experts have to)"""
    evaluation: EvaluationSection = EvaluationSection()
    """How models are tested"""
    groups: GroupsSection = GroupsSection()
    """Groups of training and of test tasks; without them what compares groups is left out"""
    overlap: OverlapSection = OverlapSection()
    """The overlap rate of the groups (Table 8)"""
    generalisation: GeneralisationSection | None = GeneralisationSection()
    """What training on some tasks does to others; null to do without (as without neuron_tuning, on which it rests)"""
    continual: ContinualSection | None = None
    """Tasks learnt one after the other (Table 5, Figure 4); null to do without"""
    tables: TablesSection = TablesSection()
    """The intervals of the tables"""
    tasks: Annotated[dict[TaskKey, Task], Field(min_length=1)]
    """Key → task; or a file of such entries"""
