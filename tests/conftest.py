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

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.append(str(EXAMPLES))  # as for a script there: examples share modules


@pytest.fixture
def example_here(tmp_path, monkeypatch, capsys):
    """Runs an example with flags in this process: (exit code, what it printed, its errors). An interpreter of its own
    takes half a second, which is much for showing that a flag is refused."""
    def run(name, *flags):
        path = EXAMPLES / f"{name}.py"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(path), *flags])
        code = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()
    return run
