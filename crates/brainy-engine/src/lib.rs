//! brainy-engine
