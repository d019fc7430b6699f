"""One file a case: what is measured, and who takes part."""
