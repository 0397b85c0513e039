"""The pure rules, where the store contract does not reach."""
