"""A model of workers, their memory, a network that fails, and a store that fails over; the rules are its invariants."""
