//! brainy-hnsw
