"""What carries out the documented examples: all that is here is itself tested by wrong pages."""
