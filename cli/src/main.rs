//! The `forall` command.

fn main() {}
