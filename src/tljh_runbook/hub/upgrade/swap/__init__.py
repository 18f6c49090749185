"""The swap: what was prepared comes to its place, and how it goes back."""
