"""Files put in their place among users who may work against it."""
