//! The store against a running S3 server, cross-checked through a second, independent client.
//!
//! `BRAINY_TEST_S3_ENDPOINT` names the server; `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION` are used as they are;
//! `BRAINY_TEST_S3_BUCKET` names the bucket, which is made if it is absent; `BRAINY_TEST_S3_SERVER` says which server it is.
#![expect(clippy::print_stdout, reason = "what could not be run on a server must be said")]

mod contract;
mod cross_check;
mod refusals;
mod server;
