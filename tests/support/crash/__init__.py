"""The crash harness: what happens to one agent (`plan`), the processes it happens to (`world`), what a receiver saw
of it (`receiver`), and what must be true afterwards (`oracle`)."""
