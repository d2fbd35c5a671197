//! brainy
