"""What `make verify` runs beyond the slow tests: each part is a module with a command of `python -m tests.verify`."""
