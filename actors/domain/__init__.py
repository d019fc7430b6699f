"""Pure order logic: values, events, the order's fold, and the rules. No await, clock or I/O."""
