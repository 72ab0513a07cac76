"""The job `drift`: every Pulumi stack looked at every night, and what differs told apart. Knows no Pulumi, only what was seen."""
