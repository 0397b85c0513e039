"""What people write today, to be measured beside: nothing here is used by the service.

Each is as fast as its author gets it in an afternoon, and says what it lacks; docs/compared.md says what that means.
"""
