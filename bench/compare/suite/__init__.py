"""What bench/compare/run is made of; a file an idea. Python's standard library only."""
