//! Real processes over a bucket.

use brainy_core::{Nonce, OsEntropy};

use crate::crowd::{self, Crowd};
use crate::holders::{self, Contest};

/// A URL of the server's that nobody else uses.
fn fresh_url(name: &str) -> String {
    let endpoint = variable("BRAINY_TEST_S3_ENDPOINT");
    assert_eq!(variable("AWS_ENDPOINT_URL"), endpoint, "both must name the same server");
    format!("s3://{}/{name}-{}", variable("BRAINY_TEST_S3_BUCKET"), Nonce::random(&OsEntropy))
}

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
    crowd::run(&fresh_url("crowd"), "processes::a_member_of_the_crowd_lives_here", Crowd { members: 8, commits: 500, kills: 2 });
}

/// Where a contender for the lock lives. In a process that is none, it has nothing to do.
#[test]
fn a_contender_for_the_lock_lives_here() {
    holders::live_if_contender();
}

#[test]
fn a_holder_that_is_paused_for_longer_than_its_lease_or_killed_harms_nobody() {
    let contest = Contest { members: 8, terms: 5, pauses: 6, kills: 4 };
    holders::run(&fresh_url("holders"), "processes::a_contender_for_the_lock_lives_here", contest);
}
