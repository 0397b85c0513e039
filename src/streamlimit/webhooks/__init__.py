"""Call backs: events from the outbox become signed, retried webhooks. Knows no store and no settings."""
