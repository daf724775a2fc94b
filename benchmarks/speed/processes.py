"""Processes that measure, spoken to by lines."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.speed.case import Case

# Several frameworks share a GPU: none may take all of its memory at the start.
SHARING = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class FailedError(Exception):
    """A process ended early; the text is the last line that it wrote."""


class Process:
    """One case, warmed up.

    Args:
        case: What it measures.
        cache: Folder that stands in for the user's cache.

    Raises:
        FailedError: It ended before it was ready.
    """

    def __init__(self, case: Case, cache: str):
        self.case = case
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        backend = "tensorflow" if case.backend == "torch" else case.backend
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.speed.worker",
                json.dumps(dataclasses.asdict(case)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={
                **os.environ,
                **SHARING,
                "KERAS_BACKEND": backend,
                "XDG_CACHE_HOME": cache,
            },
            text=True,
        )
        try:
            ready = self._answer()
            self.images_per_step: int = ready["images_per_step"]
            self.devices: list[str] = ready["devices"]
        except FailedError:
            self.close()
            raise

    def ask(self, word: str):
        """The answer to "run", "parts" or "memory".

        Raises:
            FailedError: The process ended instead.
        """
        with contextlib.suppress(BrokenPipeError):
            print(word, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or ["no word of why"]
        code = self._process.returncode
        raise FailedError(f"ended with code {code}: {lines[-1]}")

    def close(self) -> None:
        """Lets it end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()


@contextlib.contextmanager
def closing(processes: dict[str, Process]) -> Iterator[dict[str, Process]]:
    """Ends all processes that were put into the dictionary meanwhile."""
    try:
        yield processes
    finally:
        for process in processes.values():
            process.close()
