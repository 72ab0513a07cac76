"""The import contract that import-linter has no type for: the jobs that `tasks.JOBS` lists do not import each other."""

from itertools import permutations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output

from tasks import JOBS


class JobsContract(Contract):
    """Reads the jobs from the table of contents, so that a new job needs no line in the contract."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001 - import-linter's shape
        jobs = {target.partition(":")[0] for target in JOBS.values()} & graph.modules
        chains = [
            " -> ".join(chain)
            for importer, imported in permutations(sorted(jobs), 2)
            if (chain := graph.find_shortest_chain(importer, imported, as_packages=True))
        ]
        return ContractCheck(kept=not chains, metadata={"chains": chains})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for chain in check.metadata["chains"]:
            output.print_error(chain)
