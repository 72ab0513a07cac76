"""The work: ledger, flow, queue, scheduler, gateway and command line. Imports the other three packages; nobody imports it."""
