"""The verbs of the command line; no logic lives here."""
