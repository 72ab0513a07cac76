"""What can be done: jobs, and the providers they speak to. Knows no Celery, no SQL, no HTTP server."""

JOBS: dict[str, str] = {
    "ask": "tasks.ask:JOB",
    "canvas": "tasks.canvas:JOB",
    "certificates": "tasks.certificates:JOB",
    "command": "tasks.command:JOB",
    "drift": "tasks.drift:JOB",
    "workflow_failures": "tasks.workflow_failures:JOB",
}
"""Every job that ships, by name: the table of contents. The value is `module:attribute`, loaded at start."""
