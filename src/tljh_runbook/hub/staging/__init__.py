"""An upgrade prepared beside the live hub: staged, rehearsed, swapped, taken back."""
