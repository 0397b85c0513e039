"""Webhooks: events from the outbox become signed, retried calls. Knows no store and no settings."""
