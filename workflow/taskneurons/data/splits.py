"""The splits of a task, and where they come from."""

# The splits of a hub or local source that are read for each split of ours. They are filled in this order, and each
# takes only prompts that no earlier one has; attribution falls back on the source's validation split.
SOURCE_SPLITS = {
    "train": ["train"],
    "attribution": ["train", "validation"],
    "test": ["train", "validation", "test"],
    "validation": ["train", "validation", "test"],
}

# One data file with all examples, in an order that the seed shuffles: where each split begins and ends, in percent.
SHARES_OF_ONE_FILE = {"train": (0, 80), "validation": (80, 90), "test": (90, 100)}
