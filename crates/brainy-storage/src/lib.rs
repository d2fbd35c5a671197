//! brainy-storage
