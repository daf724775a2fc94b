"""An HTML report about finished runs; the command is `python -m color_s4l.report`."""
