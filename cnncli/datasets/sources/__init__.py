"""Where data come from: files of arrays, CSV, folders, downloads, synthetic images."""
