//! Real processes over a directory.

use crate::crowd::{self, Crowd};
use crate::holders::{self, Contest};

/// Where a member of the crowd lives. In a process that is none, it has nothing to do.
#[test]
fn a_member_of_the_crowd_lives_here() {
    crowd::live_if_member();
}

#[test]
fn processes_killed_at_random_lose_nothing_and_double_nothing() {
    let folder = crate::support::Directory::new();
    let crowd = Crowd { members: 8, commits: 500, kills: 2 };
    crowd::run(&folder.url(), "processes::a_member_of_the_crowd_lives_here", crowd);
}

/// Where a contender for the lock lives. In a process that is none, it has nothing to do.
#[test]
fn a_contender_for_the_lock_lives_here() {
    holders::live_if_contender();
}

#[test]
fn a_holder_that_is_paused_for_longer_than_its_lease_or_killed_harms_nobody() {
    let folder = crate::support::Directory::new();
    let contest = Contest { members: 8, terms: 5, pauses: 6, kills: 4 };
    holders::run(&folder.url(), "processes::a_contender_for_the_lock_lives_here", contest);
}
