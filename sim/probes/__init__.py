"""What must happen sometimes: a sweep in which it never does has not tried it, and fails."""
