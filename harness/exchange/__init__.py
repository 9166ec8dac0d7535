"""Other harnesses: their tasks written, their agents let in as guests, their jobs read and scored here."""
