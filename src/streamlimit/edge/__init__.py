"""Those who move the bytes in our place: one file per foreign protocol, a translation to the limiter, no more."""
