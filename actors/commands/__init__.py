"""One file a command; ``actors.cli`` loads a command's file only when it is called."""
