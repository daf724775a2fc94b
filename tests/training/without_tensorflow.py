"""Trains and evaluates where TensorFlow can't be imported: python ... RUN_DIR FLAGS.

Not a test; `test_jax_alone.py` starts it.
"""

import sys


class Blocker:
    """Refuses TensorFlow as if it were not installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocker)

from color_s4l import evaluate, train  # noqa: E402

run_dir, *flags = sys.argv[1:]
code = train.main([f"--run_dir={run_dir}", *flags])
code = code or evaluate.main([f"--run={run_dir}"])
assert "tensorflow" not in sys.modules
raise SystemExit(code)
