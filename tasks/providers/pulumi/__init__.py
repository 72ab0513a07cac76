"""Pulumi stacks: the only code that runs the Pulumi CLI or reads a backend. It knows no job and no finding."""

from tasks.providers.pulumi.provider import PulumiStacks

__all__ = ["PulumiStacks"]
