"""What a run shows: the contents, the findings, the page, the copy for committing. Imports config and core."""
