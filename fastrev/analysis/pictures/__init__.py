"""Pictures of runs, one kind a file; `fastrev.analysis.figures` chooses among them and saves."""
