//! The bytes that brainy-core writes, against files kept in the repository.

#[cfg(test)]
mod golden;
