//! Tests against a real S3 server, named by `BRAINY_TEST_S3_ENDPOINT`.
