"""The remedy `renew`: the operator's renewal command, an optional reload, and looking again at every address."""
