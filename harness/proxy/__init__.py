"""Model access that we meter: a trusted process between an agent's sandbox and a provider of models."""
