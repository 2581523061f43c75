"""What is behind `scripts/fuzz`: an engine that mutates bytes, and a target for each parser of the project."""
