"""What the hostile suite shares: the secret that nobody may find, and traps."""

from __future__ import annotations

SECRET = "the-answer-is-0.8146137"
