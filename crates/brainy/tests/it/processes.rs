//! Real processes over a directory.

use crate::crowd::{self, Crowd};

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
