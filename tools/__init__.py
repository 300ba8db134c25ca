"""What the make targets run: set-up, the series, refreshing the notebooks."""
