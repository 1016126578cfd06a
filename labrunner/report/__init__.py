"""JUnit, JSON and terminal reports; each consumes run events."""
