"""Code generation: vector formulas, emitted as LLVM IR, and loops over arrays."""
