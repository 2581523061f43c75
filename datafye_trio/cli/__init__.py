"""The command line: `datafye-trio` with `serve`, `watch`, `tail`, `bench`, `record`, `import`, `inspect`, `run`."""
