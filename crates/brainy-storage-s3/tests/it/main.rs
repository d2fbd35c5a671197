//! The store against the test kit's S3 endpoint, over real sockets in this process.

mod conforms;
mod foreign;
mod outcomes;
mod replies;
mod secrets;
mod world;
