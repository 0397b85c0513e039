"""Telling people what happens: events are written to the store's feed and histories, and handed on to who listens.

Knows no HTTP and no settings.
"""
