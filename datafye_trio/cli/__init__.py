"""The command line: `datafye-trio` with `serve`, `watch`, `record`, `import` and `inspect`."""
