//! brainy-testkit
