"""When: cron lines, time zones, working hours, and the sums on them. Pure: the clock is passed in."""
