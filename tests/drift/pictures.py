"""The pictures of docs/drift.md: a drift that was found, and the night that found it: `python -m tests.drift.pictures`."""

import base64
import sys
import tempfile
from pathlib import Path

from tests.drift.fleet import Fleet, estate, fleet
from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program, Resource, secret
from tests.servers.pulumi_install import programs
from tests.support.browser import Browser, Page

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH = 1160
PROGRAM = Program(
    name="network",
    resources={
        "edge": Resource(kind="Firewall", properties={"rules": [{"port": 443, "cidr": "10.0.0.0/8"}], "label": "edge"}),
        "orders": Resource(kind="Database", properties={"size": 4, "password": secret("of the orders"), "label": "orders"}),
        "assets": Resource(kind="Bucket", properties={"size": 1, "tags": {"team": "shop"}}),
        "web": Resource(kind="Server", properties={"size": 2, "label": "web"}),
    },
)
OTHERS = ("prod-us", "prod-ap", "staging", "test")


def make(folder: Path) -> None:
    """Five stacks: somebody edited two by hand, and one database may not be read."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        lab = Lab(Path(scratch) / "lab", programs())
        stacks = deployed(lab)
        owners = {stack.name: {"owner": "platform"} for stack in stacks}
        with fleet(Path(scratch), lab, estate(lab, stacks, owners)) as night, Browser() as browser, browser.page() as page:
            night.ended(night.joins()["batch"]["id"])
            page.open(night.cli("login", "ana").strip())
            page.run("window.left = true; document.querySelector('form').submit()")
            page.settle()
            page.open(f"{night.instance.facts['url']}/findings/{finding(night)}")
            picture(page, folder / "drift_finding.png")
            page.open(night.instance.facts["url"])
            picture(page, folder / "drift_night.png")


def deployed(lab: Lab) -> list[LabStack]:
    first = lab.stack(PROGRAM, "prod-eu")
    second, third, *rest = lab.copies(first, OTHERS)
    lab.cloud.change(first.id("edge"), rules=[{"port": 443, "cidr": "0.0.0.0/0"}, {"port": 22, "cidr": "0.0.0.0/0"}])
    lab.cloud.change(second.id("web"), size=8)
    lab.cloud.turn(failing=[third.id("orders")])
    return [first, second, third, *rest]


def finding(night: Fleet) -> str:
    """The id of the firewall's."""
    found = night.ana.get("/v1/findings").json()["findings"]
    return str(next(one["id"] for one in found if "edge" in one["title"]))


def picture(page: Page, place: Path) -> None:
    """All of the page."""
    page.screen(WIDTH)
    height = page.run("document.documentElement.scrollHeight")
    page.screen(WIDTH, int(height))
    shot = page.ask("Page.captureScreenshot", format="png")
    place.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if sys.argv[1:] else PICTURES)
