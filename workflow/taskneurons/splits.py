"""The splits of a task, and where they come from."""

# The splits of a hub or local source that are read for each split of ours. They are filled in this order, and each
# takes only prompts that no earlier one has; attribution falls back on the source's validation split.
SOURCE_SPLITS = {
    "train": ["train"],
    "attribution": ["train", "validation"],
    "test": ["train", "validation", "test"],
    "validation": ["train", "validation", "test"],
}
