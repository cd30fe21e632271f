"""Scores from data (anything heavy is imported on use)."""
