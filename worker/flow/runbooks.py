"""What a person does when a repair needs them, or was refused: one runbook per reason code. Messages and pages link here."""

from collections.abc import Mapping
from types import MappingProxyType

from worker.flow.drift_runbooks import DRIFT
from worker.flow.runbook import Runbook

__all__ = ["RUNBOOKS", "Runbook"]

_RUN = "the steps of the run, what each of them said, and what was seen afterwards; then at the target itself"
_RESOLVE = (
    "`nightshift resolve RUN --applied --reason WHY` if it is done, `--not-applied` if it is not and shall not be, `--retry` if "
    "nothing happened and it shall be tried again. The run's page has the same."
)
_ANEW = "nothing: what is found again is asked for again. To have it looked at now: `nightshift run JOB --param entries=NAME`"

_ALL = (
    # A person is needed.
    Runbook(
        "outcome_unknown",
        "A worker died, or lost its host, between the intent of a step and its outcome, and the job's probe cannot tell "
        "whether the step happened. Nothing is tried again blindly, and nothing else is done to this subject.",
        f"{_RUN}. The step names its host and its process: does it still run there? Does the target look as the step would "
        "leave it (`after`), or as before?",
        _RESOLVE + " Not before the process has ended; where its host cannot be asked, say so too: `--process-ended`.",
    ),
    Runbook(
        "step_failed",
        "A step was tried and said that it failed. Steps after it were not begun; what it left behind was looked at again.",
        "the output of the step, among the run's artifacts; then at the target itself",
        "mend the cause, then `--retry` if nothing happened, or `--not-applied`; the next check asks anew. "
        "If somebody finished it by hand: `--applied`.",
    ),
    Runbook(
        "unchanged",
        "Every step said that it was done, and looking again saw the old state: a command succeeded and changed nothing.",
        "what each address or target still showed",
        "look whether the command writes where the server reads, and whether a reload is missing. Mended by hand: `--retry` "
        "looks again, and ends `verified`. Else `--not-applied`.",
    ),
    Runbook(
        "partial",
        "Some of it is as it should be and some is not, for instance one of two addresses behind a name.",
        "what was seen where: some of it names what was not reached",
        "finish the rest by hand and mend the command, or it ends so again. Then `--retry`: it repeats no step that is done, "
        "looks again, and ends `verified`. `--applied` takes your word; with `--not-applied` the next check asks anew.",
    ),
    Runbook(
        "worse",
        "After the change something is worse than it was before: a certificate that ends earlier, or for another name.",
        "what is worse, and where",
        "`--not-applied`, then put the old state back: by hand, or by `nightshift undo RUN --reason WHY` where the job can.",
    ),
    Runbook(
        "cannot_tell",
        "The steps were done, and nobody could look at the result: it is neither right nor wrong yet.",
        "what kept it from looking. The finding's page has the command that checks again by hand",
        "once it can be looked at: `--applied` or `--not-applied`.",
    ),
    Runbook(
        "rollback_failed",
        "The result was not as it should be, the approved reverse steps were carried out, and the old state is not seen either.",
        _RUN,
        "bring the target into one of the two states by hand, then `--applied` or `--not-applied`.",
    ),
    Runbook(
        "precondition_failed",
        "Between two steps somebody else changed the target: the next step does not find what it was approved for.",
        "what was expected and is not there; who else changes this target",
        "finish or take back by hand, then `--applied` or `--not-applied`. If no step had begun, the run was only skipped: "
        "the next check asks anew.",
    ),
    Runbook(
        "precondition_unknown",
        "After an interruption in the middle of a plan, the job cannot say whether the next step may still be done.",
        _RUN,
        _RESOLVE,
    ),
    Runbook(
        "killed",
        "Somebody pulled the kill switch. Running effects stopped before their next step; no other starts until `thaw`.",
        "`nightshift audit` says who, when and why",
        "`nightshift thaw --reason …` once it is safe. A run that had done a step: `--applied`, `--not-applied` or `--retry`.",
    ),
    Runbook(
        "cancelled",
        "Somebody cancelled the run (command line, page, API, or Flower's button). It stopped at a step's boundary.",
        "who did it, in the audit; and how far the steps had come",
        "if a step was done: `--applied`, `--not-applied` or `--retry`.",
    ),
    Runbook(
        "lost",
        "The run was lost with its worker as often as `max_attempts` allows.",
        "the worker's log and the machine's: memory, disk, restarts",
        "mend the worker; then `--retry`, if the run needs attention, or run it again.",
    ),
    Runbook(
        "time_limit",
        "The run did not come to its end within the job's time limit.",
        _RUN,
        "if steps were done: `--applied` or `--not-applied`. Look why it was slow before it is tried again.",
    ),
    Runbook(
        "old_seal",
        "The plan was sealed by another version of Nightshift, and steps of it have happened already.",
        "which steps happened, and which version the other worker has",
        "carry it out to its end with the version that began it, or finish by hand and `--applied`.",
    ),
    Runbook(
        "seal_broken",
        "The stored bytes of the plan are not those that were approved: somebody wrote to the ledger past Nightshift.",
        "`nightshift audit verify`, and a backup of the ledger",
        "nothing of this plan is carried out. Find out who wrote there before anything else.",
    ),
    # Refused before the first step; nothing was changed.
    Runbook(
        "world_moved",
        "Between the yes and the run the world moved: what would be done now is not what was approved. It was asked anew.",
        "the new request shows what moved, line by line",
        "decide on the new request.",
    ),
    Runbook("nothing_to_do", "What was to be mended is as it should be: somebody else did it.", "nowhere", "nothing."),
    Runbook(
        "expired",
        "Nobody decided in time, which means no; or a yes could not be carried out before it ended (a long freeze).",
        "the request's page: who could have decided, and until when",
        f"{_ANEW}. If it happens often: `[policy] expires_after` or more deciders.",
    ),
    Runbook(
        "superseded",
        "Another change set took its place, or its findings are gone.",
        "the request's page names the newer one",
        "decide on that one.",
    ),
    Runbook("revoked", "Somebody took the request or the yes back.", "the request's page says who, and why", "nothing."),
    Runbook(
        "denied",
        "Somebody said no. The same change set is not asked for again for `ask_again_after` (7 days).",
        "the request's page says who, and why",
        "nothing; or change the policy, the estate, or mute the finding.",
    ),
    Runbook("not_approved", "The approval ended between the yes and the run.", "the request's page", _ANEW),
    Runbook(
        "quorum_lost",
        "Somebody who said yes may not say it any more (left people.toml, lost the role, or the rule asks for more people now).",
        "the request's page, and `nightshift people`",
        _ANEW,
    ),
    Runbook(
        "not_in_execute",
        "The environment is not in mode `execute` any more: nothing is carried out there.",
        "`[environments]` of estate.toml",
        f"set the mode, if that was not meant; then {_ANEW}",
    ),
    Runbook("environment_moved", "The entry moved to another environment since the yes.", "estate.toml", _ANEW),
    Runbook("not_in_estate", "The entry is not in the estate any more.", "estate.toml", "nothing, if that was meant."),
    Runbook("no_remedy", "The job cannot mend anything any more.", "the job's version", "nothing."),
    Runbook(
        "plan_error",
        "The plan could not be made again right before the run, for instance because an address did not answer.",
        _RUN,
        f"mend what it could not look at; then {_ANEW}",
    ),
    Runbook(
        "no_rule",
        "No rule of policy.toml covers it (any more).",
        "`nightshift policy test`, docs/policy.md",
        f"add or widen a rule, if it is to be allowed; then {_ANEW}",
    ),
    Runbook(
        "contradiction",
        "Two rules of policy.toml cover it and demand different things: unclear means no.",
        "`nightshift config check` and `nightshift policy test` name the rules",
        "make one of them narrower.",
    ),
    Runbook("too_many_steps", "The plan has more steps than its rule allows.", "the rule's `max_steps`", "raise it, or not."),
    Runbook(
        "blast_radius",
        "More of the job's entries would have been changed within 24 hours than the rule's `max_percentage` allows.",
        "`nightshift runs`: what was changed today",
        "wait until tomorrow, or raise the limit; what is found again is asked for again.",
    ),
    *DRIFT,
)

RUNBOOKS: Mapping[str, Runbook] = MappingProxyType({runbook.code: runbook for runbook in _ALL})
