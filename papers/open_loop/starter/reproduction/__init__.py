"""Your reproduction; the contract is in BRIEF.md."""
