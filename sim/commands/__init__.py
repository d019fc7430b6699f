"""One file a command of ``ordermill sim``."""
