"""Hypothesis profiles: "quick", the default, has the same examples in every run; "thorough" is long.

    pytest --hypothesis-profile=thorough
"""

from hypothesis import HealthCheck, settings

CALM = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True, database=None,
                          suppress_health_check=CALM)
settings.register_profile("thorough", max_examples=500, deadline=None, suppress_health_check=CALM)
settings.load_profile("quick")
