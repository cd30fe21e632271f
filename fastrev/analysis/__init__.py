"""What a run means: exact laws, comparison, figures (matplotlib is loaded on use)."""
