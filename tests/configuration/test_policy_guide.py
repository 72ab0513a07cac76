"""The examples of docs/policy.md are right: the policy is valid, its cases hold, and every key is in a table."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tasks import JOBS
from tasks.load import load_jobs
from worker.configuration import check, golden
from worker.policy import Freeze, Hours, Policy, Rule

GUIDE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
ESTATE = '[environments.staging]\nmode = "execute"\n[environments.production]\nmode = "execute"\n'
PEOPLE = "".join(f'[[person]]\nname = "{name}"\nroles = {{ "*" = ["operator"] }}\n' for name in ("ana", "bo", "cy"))


def test_the_policy_of_the_guide_passes_the_cases_of_the_guide(tmp_path: Path) -> None:
    policy, cases = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    for name, text in (("estate", ESTATE), ("people", PEOPLE), ("policy", policy), ("policy_tests", cases)):
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    found = check(tmp_path, load_jobs(JOBS, ()), ZoneInfo("UTC"))
    results = golden.held_against(found.policy, golden.read_cases(tmp_path / "policy_tests.toml", found, list(JOBS)))
    assert [(result.case.name, result.wrong) for result in results if result.wrong] == []
    assert len(results) == 5


@pytest.mark.parametrize("model", [Rule, Freeze, Policy, Hours])
def test_every_key_is_in_the_guide(model: type[Rule | Freeze | Policy | Hours]) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()} - {"rules", "freezes"}
    assert sorted(key for key in keys if f"`{key}`" not in GUIDE) == []
