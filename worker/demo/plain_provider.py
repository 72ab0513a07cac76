"""A Pulumi provider without configuration, secrets or defaults: what those over small clouds have in common.

Only providers import this module: it needs the `pulumi` package, which takes a second to import.
"""

from pulumi.provider.experimental import provider as sdk


class PlainProvider(sdk.Provider):
    """Inputs are taken as they are."""

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        return sdk.CheckResponse(inputs=request.new_inputs)

    async def diff_config(self, _request: sdk.DiffRequest) -> sdk.DiffResponse:
        return sdk.DiffResponse(changes=False)

    async def configure(self, _request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        return sdk.ConfigureResponse(accept_secrets=True, supports_preview=True, accept_resources=True, accept_outputs=False)

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        return sdk.CheckResponse(inputs=request.new_inputs)
