"""A terminal in a widget: an emulator behind a small protocol, a feeder thread, keys to bytes, painting.

Nothing here knows of labs; it draws whatever bytes it is fed and hands keys to whoever listens.
"""
