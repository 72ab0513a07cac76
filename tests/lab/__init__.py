"""A drift laboratory: a Pulumi provider of our own over a fake cloud in a folder. Knows nothing of the worker.

`lab.Lab` builds stacks with the real CLI, `cloud.Cloud` is what lies out there: change it behind Pulumi's back, turn its knobs,
read its book. Nothing is imported here, as each start of the provider would pay for it.
"""
