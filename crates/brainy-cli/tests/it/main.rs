//! The command as people and programs use it: the real binary, over directories and over an S3 endpoint.

mod bad_input;
mod endpoint;
mod follow;
mod readme;
mod session;
mod together;
mod world;
