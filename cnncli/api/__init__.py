"""What commands do, as a library: the public Python interface of cnncli, which `import cnncli` offers."""
