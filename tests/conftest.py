"""Hypothesis profiles: "quick", the default, has the same examples in every run; "thorough" is long.

    pytest --hypothesis-profile=thorough
"""

import os
import runpy
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

CALM = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=15, deadline=None, derandomize=True, database=None,
                          suppress_health_check=CALM)
settings.register_profile("thorough", max_examples=500, deadline=None, suppress_health_check=CALM)
settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """All tests run in a process for each core, up to four, where pytest-xdist is installed; a file alone in one. A
    file's tests stay together, for what they share."""
    everything = config.args_source is config.ArgsSource.TESTPATHS
    if everything and config.pluginmanager.hasplugin("xdist") and "PYTEST_XDIST_WORKER" not in os.environ:
        if config.option.numprocesses is None and config.option.dist == "no":  # unless the command says otherwise
            config.option.numprocesses, config.option.dist = min(os.cpu_count() or 1, 4), "loadfile"


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
