"""One file a command of ``ordermill bench``."""
