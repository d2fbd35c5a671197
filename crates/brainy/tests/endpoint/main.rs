//! The facade against a running S3 server.
//!
//! `BRAINY_TEST_S3_ENDPOINT` names the server, `AWS_ENDPOINT_URL` must too, since stores are opened by URL here as everywhere; `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ALLOW_HTTP` are used as they are. `BRAINY_TEST_S3_BUCKET` names the bucket, which must exist: the tests of
//! `brainy-storage-s3` make it.

#[cfg(test)]
#[path = "../it/crowd.rs"]
mod crowd;
#[cfg(test)]
#[path = "../it/holders.rs"]
mod holders;
#[cfg(test)]
#[path = "../it/members.rs"]
mod members;
#[cfg(test)]
mod processes;
