"""What one worker knows of sessions: the store's last word on each, so that it can answer without asking (rule 11)."""

from streamlimit.knowledge.knowledge import AHEAD, Knowledge
from streamlimit.knowledge.known import Known, digest

__all__ = ["AHEAD", "Knowledge", "Known", "digest"]
