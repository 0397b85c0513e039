"""The feed of events for people: written to the store's feed and histories, and handed on to listeners.

Knows no HTTP and no settings.
"""
