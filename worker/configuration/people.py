"""people.toml: who there is, where to reach them, and what they may do in which environment."""

from collections.abc import Collection

from worker.configuration.documents import Document
from worker.configuration.model import EVERYWHERE, Person
from worker.problems import did_you_mean


def read_people(document: Document, environments: Collection[str]) -> tuple[Person, ...]:
    """The people; what is wrong is noted in `document`."""
    document.accept_only(("person",))
    rows = document.table.get("person", [])
    if not isinstance(rows, list):
        document.refuse(("person",), "write each person as a table of its own, headed [[person]]")
        return ()
    people = [document.parsed(("person", index), Person, row) for index, row in enumerate(rows)]
    taken: dict[str, int] = {}
    for index, person in enumerate(people):
        if person:
            _refuse_taken(document, index, person, taken)
            _refuse_unknown_environments(document, index, person, environments)
    return tuple(person for person in people if person)


def _refuse_taken(document: Document, index: int, person: Person, taken: dict[str, int]) -> None:
    for key, value in (("name", person.name), ("email", person.email)):
        if value and taken.setdefault(f"{key} {value.lower()}", index) != index:
            document.refuse(("person", index, key), f"is taken by person {taken[f'{key} {value.lower()}'] + 1}")


def _refuse_unknown_environments(document: Document, index: int, person: Person, environments: Collection[str]) -> None:
    known = (EVERYWHERE, "default", *environments)
    for name in person.roles:
        if name not in known:
            document.refuse(("person", index, "roles", name), f"no such environment; {did_you_mean(name, known)}")
