//! The control plane: every central service, or the ones named in its configuration.

fn main() {}
