"""Findings of one root are one row of the list."""

from dataclasses import replace

from tests.api.kit import House
from tests.api.test_console import LIMIT
from worker.ledger import findings
from worker.ledger.rows import new_id

REASON, CAUSE = "provider_upgrade", "provider_upgrade:aws 6.2.0 → 6.3.0"


def test_a_provider_upgrade_in_forty_stacks_is_one_row_that_leads_to_all_of_them(house: House) -> None:
    house.work = True
    house.client(house.token()).post("/v1/runs", json={"items": [{"job": "doors"}]})
    with house.shift.ledger.transaction() as tx:
        row = findings.listing(tx, limit=1)[0]
        for number in range(40):
            told = {"subject": f"lab/s{number:02}", "title": f"lab/s{number:02}: aws", "reason": REASON, "cause": CAUSE}
            findings.insert_finding(tx, replace(row, id=new_id(), key=new_id(), **told))  # type: ignore[arg-type]
    ana = house.signed_in("ana")
    page = ana.get("/findings")
    assert page.text.count("provider upgrade") == 1
    assert "the same in 40: lab/s00, lab/s01, lab/s02 and 37 more" in page.text
    each = ana.get("/findings", params={"cause": CAUSE})
    assert each.text.count("provider upgrade") == 40
    assert max(len(page.content), len(each.content)) < LIMIT
