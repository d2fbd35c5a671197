//! Real processes over a bucket.

use brainy_core::{Nonce, OsEntropy};

use crate::crowd::{self, Crowd};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test-minio` or `cargo xtask test-s3`"))
}

/// Where a member of the crowd lives. In a process that is none, it has nothing to do.
#[test]
fn a_member_of_the_crowd_lives_here() {
    crowd::live_if_member();
}

#[test]
fn processes_killed_at_random_lose_nothing_and_double_nothing() {
    let endpoint = variable("BRAINY_TEST_S3_ENDPOINT");
    assert_eq!(variable("AWS_ENDPOINT_URL"), endpoint, "both must name the same server");
    let url = format!("s3://{}/crowd-{}", variable("BRAINY_TEST_S3_BUCKET"), Nonce::random(&OsEntropy));
    crowd::run(&url, "processes::a_member_of_the_crowd_lives_here", Crowd { members: 8, commits: 500, kills: 2 });
}
