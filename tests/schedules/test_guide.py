"""The examples of docs/add-a-schedule.md are true."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

from schedules.load import load_schedules

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-schedule.md"
TABLE = '[[schedule]]\nname = "any"\njob = "any"\ncron = "0 1 * * *"\n'


def test_every_example_of_the_guide_loads() -> None:
    examples: list[str] = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    whole = [text if "[[schedule]]" in text else TABLE + text for text in examples]
    assert [len(load_schedules(text, "guide", ZoneInfo("UTC"))) for text in whole] == [1, 3, 1, 1]


def test_every_cron_line_of_the_guide_is_accepted_but_the_one_that_shows_a_refusal() -> None:
    lines = set(re.findall(r"`((?:[^\s`]+ ){4}[^\s`]+)`", GUIDE.read_text(encoding="utf-8")))
    crons = [line for line in lines if line.split()[0][0] in "0123456789*"]
    assert "0 4 * * mon#1" in crons
    for cron in crons:
        load_schedules(TABLE.replace("0 1 * * *", cron), "guide", ZoneInfo("UTC"))
