//! `serve`: one of the test servers, for trying things by hand.

use crate::endpoint::OWN_KEYS;
use crate::minio::{self, Minio};
use crate::{Result, ministack};

/// Starts the server called `name`, says how to reach it, and ends it at the next line of standard input.
pub(crate) fn run(name: &str) -> Result<()> {
    let server = match name {
        "minio" => match minio::launch(&minio::way()?.ok_or(minio::NO_WAY)?)? {
            Minio::Own(server) => server,
            Minio::Users { url } => return Err(format!("BRAINY_TEST_S3_ENDPOINT names one that runs: {url}").into()),
        },
        "ministack" => ministack::launch(&ministack::python().ok_or(ministack::NO_PYTHON)?)?,
        other => return Err(format!("`{other}` is no server to serve: minio, ministack").into()),
    };
    println!("export AWS_ENDPOINT_URL={} AWS_ALLOW_HTTP=true AWS_REGION=us-east-1", server.url());
    println!("export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}", OWN_KEYS.0, OWN_KEYS.1);
    println!("press Enter to end it");
    std::io::stdin().read_line(&mut String::new())?;
    server.stop()
}
