//! brainy-coordination
