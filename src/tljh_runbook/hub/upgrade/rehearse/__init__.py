"""The rehearsal: a full dry run on a copy, and the changes that it predicts."""
