"""How a lab is WALKED: engine, session journal, shell, events, waiting, hints, validation. Headless."""
