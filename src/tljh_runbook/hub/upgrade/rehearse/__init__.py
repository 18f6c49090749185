"""The rehearsal: a full dry run on a copy, and what it says would change."""
