//! The `brainy` command.
fn main() {}
