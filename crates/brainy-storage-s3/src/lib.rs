//! brainy-storage-s3
