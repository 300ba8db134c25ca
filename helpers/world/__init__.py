"""The miniature: a text-to-video model with Mochi-1's architecture, and the little world that it knows."""
