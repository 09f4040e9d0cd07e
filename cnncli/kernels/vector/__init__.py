"""Code generation: formulas over vectors, written as LLVM instructions and made into loops over arrays."""
