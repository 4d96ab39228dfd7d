"""Hypothesis profiles: "quick", the default, has the same examples in every run; "thorough" is long.

    pytest --hypothesis-profile=thorough
"""

import runpy
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

CALM = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True, database=None,
                          suppress_health_check=CALM)
settings.register_profile("thorough", max_examples=500, deadline=None, suppress_health_check=CALM)
settings.load_profile("quick")


@pytest.fixture
def example_here(tmp_path, monkeypatch, capsys):
    """Runs an example with flags in this process: (exit code, what it printed, its errors). An interpreter of its own
    takes half a second, which is much for showing that a flag is refused."""
    def run(name, *flags):
        path = Path(__file__).parent.parent / "examples" / f"{name}.py"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(path), *flags])
        monkeypatch.syspath_prepend(path.parent)  # as for a script: examples share a module
        code = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()
    return run
