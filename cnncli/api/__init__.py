"""The public Python API, exported by `import cnncli`; commands are built on it."""
