"""Runbooks of the reasons that the job `drift` gives."""

from worker.flow.runbook import Runbook

DRIFT = (
    Runbook(
        "drift",
        "The cloud is not as the state has it, and the program still says what the state has: somebody changed the cloud. "
        "Two looks agree.",
        "the finding's diff: desired, last known, actual; the provider's own log says who",
        "decide: put the cloud back (`pulumi up --refresh --target …`), write it into the program, or mute the finding with"
        " a reason. A mute holds for these values: what moves on is told again.",
    ),
    Runbook(
        "conflict",
        "The cloud and the program were both changed, each to something else. Nothing is proposed: either would undo "
        "somebody's work.",
        "the diff shows both; git says who changed the program",
        "talk to both, then deploy what is right.",
    ),
    Runbook(
        "adopted",
        "The cloud already is as the program now says, and the state has not heard of it.",
        "the line under *check again by hand*, with the credentials of the entry",
        "`pulumi refresh --target …`, or the next deployment with `--refresh`.",
    ),
    Runbook(
        "cloud_differs",
        "The cloud is not as the state has it; whether the program says so is not known, because there is none in the "
        "entry, or it did not run.",
        "the entry's `path` or `git_url`, and the other findings of the stack",
        "name the program in the entry, or mend it; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "undeployed_code",
        "The program says something that was never deployed. That is no drift.",
        "`pulumi preview`, and who merged it",
        "deploy it, or take it back.",
    ),
    Runbook(
        "provider_upgrade",
        "The program runs with another version of a provider than the state was written by, which brings defaults that "
        "nobody wrote. In all stacks of one estate it is one cause.",
        "the provider's changelog; the lock file of the program",
        "pin the version, or deploy the upgrade once per stack.",
    ),
    Runbook(
        "noise",
        "Program and cloud differ in a look, and neither was changed: a normalised value, a secret that cannot be compared,"
        " a default.",
        "the line under *check again by hand*, with the credentials of the entry",
        "if it stays, write a `[[drift.ignore]]` rule with its reason and an end.",
    ),
    Runbook(
        "unexplained",
        "Something differs, and the looks do not suffice to say why.",
        "the line under *check again by hand*, with the credentials of the entry",
        "mend what could not be looked at; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "flapping",
        "A property changed as often as the entry's `flips` says within 14 days: two things keep setting it. A repair would"
        " be one more flip.",
        "who else writes it: an autoscaler, another stack, a person with a habit",
        "give it one owner: `ignoreChanges` in the program, or a `[[drift.ignore]]` rule.",
    ),
    Runbook(
        "mass_delete",
        "All, or most, of what a provider made seems to be gone. That is nearly always a fault of the credentials, account "
        "or region, so it is no drift and nothing is proposed. As a finding: the credentials were asked and are the right "
        "ones.",
        "`identity_command` with the credentials of the entry; the region in its variables; the provider's console",
        "mend the credentials, or believe it and restore; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "wrong_account",
        "The credentials of the entry belong to somebody else than its `identity` says.",
        "the entry's variables and where their references lead",
        "mend them; then `nightshift run drift --entries NAME`. Nothing was compared, nothing is proposed.",
    ),
    Runbook(
        "unlisted_stack",
        "The backend holds a stack that no entry of the estate names. Its cloud was compared with its state; its program is"
        " not known.",
        "`pulumi stack history --stack …` says who deployed it, and from which commit",
        "write an entry for it, or remove it.",
    ),
    Runbook(
        "stack_locked",
        "Somebody's lock lies on the stack for longer than `lock_minutes`. Locks of such backends have no end of their own.",
        "the host and process that the finding names: does it still run?",
        "if it is gone, remove that one lock file. `pulumi cancel` removes every lock, a living update's too.",
    ),
    Runbook(
        "pending_operations",
        "An update died in the middle: nobody wrote down whether these operations happened.",
        "in the cloud, each resource that the finding names",
        "`pulumi refresh`, which asks what to do with each; import what exists, clear what does not.",
    ),
    Runbook(
        "raced",
        "The stack was updated whenever we looked.",
        "who deploys at night",
        "nothing, or another time for the schedule; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "unsettled",
        "No two looks at a property agree: it changes all the time, or the provider's answers are not yet consistent.",
        "the line under *check again by hand*, with the credentials of the entry",
        "nothing the first night; if it stays, a `[[drift.ignore]]` rule with its reason.",
    ),
    Runbook(
        "being_updated",
        "Somebody updates the stack right now: the cloud is changed before the state hears of it, so a difference may be that "
        "update's own work. Nothing is told as drift, nothing is proposed.",
        "whose lock it is, which the finding names",
        "nothing: the next night looks again. To have it sooner: `nightshift run drift --entries NAME` after the update.",
    ),
    Runbook(
        "not_reached",
        "Pulumi ended, well or not, and said nothing of this resource: it waits for its replacement, or the look ended before. "
        "It is unknown, not unchanged.",
        "the diagnostics in the finding; `pulumi stack --show-urns`",
        "mend what they name, or deploy the stack; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "too_much_output",
        "The look was ended because the program, or a provider, wrote without end: its output would have filled the disk.",
        "the line under *check again by hand*, with the credentials of the entry",
        "mend the program; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "look_cut_short",
        "Pulumi ended before it had looked at everything; what it did not reach is unknown, not unchanged.",
        "the diagnostics in the finding",
        "mend what they name; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "pulumi_missing",
        "There is no Pulumi CLI for the worker.",
        "`nightshift doctor`",
        "install it where the worker finds it on PATH.",
    ),
    Runbook(
        "backend_unreachable",
        "The place where the states lie does not answer.",
        "the entry's `backend`",
        "mend the way to it; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "backend_credentials",
        "The backend refused the entry's `credentials`.",
        "where the references lead",
        "renew them; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "stack_missing",
        "The backend has no such stack (any more).",
        "`pulumi stack ls --all`",
        "mend or remove the entry.",
    ),
    Runbook(
        "state_corrupt",
        "The state cannot be read.",
        "the backups beside it in the backend",
        "restore the newest that can be read.",
    ),
    Runbook(
        "wrong_passphrase",
        "The passphrase does not open the stack's secrets.",
        "the entry's `passphrase`",
        "mend it; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "passphrase_missing",
        "The stack's secrets are under a passphrase, and the entry has none that can be read.",
        "the entry's `passphrase`: a reference such as `file:/run/secrets/pulumi-passphrase`",
        "add it; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "config_missing",
        "The program misses a value of its configuration.",
        "`Pulumi.STACK.yaml`",
        "set it; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "program_failed",
        "The program did not run to its end.",
        "the line under *check again by hand*, with the credentials of the entry",
        "mend it; then `nightshift run drift --entries NAME`. Drift of the cloud is told all the same.",
    ),
    Runbook(
        "program_missing",
        "There is no program where the entry says.",
        "the entry's `path`, `git_url`, `git_ref`",
        "mend it; then `nightshift run drift --entries NAME`.",
    ),
    Runbook(
        "plugin_missing",
        "A provider's plugin is not there.",
        "`nightshift doctor`: the folder that looks take plugins from; `pulumi plugin ls`",
        "`pulumi plugin install`, as the user of the worker; or name their folder in the settings (`pulumi_plugins`).",
    ),
    Runbook(
        "credentials_expired",
        "The cloud refused the credentials that the state remembers, and those that the program makes, if the entry has one: it "
        "was run to try them. With `run_program` the program's are used at once.",
        "the entry's variables; how old the credentials in the state are",
        "renew them, or set `run_program = true`; then `nightshift run drift --entries NAME`.",
    ),
)
