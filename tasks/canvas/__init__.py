"""The job `canvas`: workflow drift between n8n and git, and its remedy: push the file, or adopt the edit."""

from tasks.canvas.check import JOB
from tasks.canvas.entry import CanvasEntry

__all__ = ["JOB", "CanvasEntry"]
