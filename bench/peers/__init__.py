"""Common self-made services, measured for comparison; the service uses nothing here.

Each is as fast as its author gets it in an afternoon, and says what it lacks; docs/compared.md says what that means.
"""
