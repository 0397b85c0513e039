"""What people write today, to be measured beside: nothing here is used by the service."""
