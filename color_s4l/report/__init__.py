"""Finished runs as a page to look at: `color_s4l.report` is its command."""
