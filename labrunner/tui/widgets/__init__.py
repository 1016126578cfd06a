"""What the screens are made of. Widgets show state and post messages; they never call the engine."""
