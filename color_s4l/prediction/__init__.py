"""A classifier on image files: streamed, tabulated, and the doubtful ones shown."""
