"""The operating system's side: files, folders, memory, signals, standard streams."""
