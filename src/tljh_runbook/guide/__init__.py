"""The guide half: steps, and the tasks and pages that are made from them."""
