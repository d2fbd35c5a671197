//! What writers at the same time are promised.

use brainy_core::Nonce;
use bytes::Bytes;
use futures_util::future::join_all;

use super::{Checked, Ground, Seen, ensure};
use crate::conditional::{Standing, Swapped, read, swap};
use crate::race::{Verdict, judge, race};
use crate::{Get, GetOptions, Key, Object, Precondition};

/// Of many creates of one object at the same time, exactly one takes effect, and it is the one that was told so.
///
/// # Errors
/// What was seen instead.
pub async fn exactly_one_of_racing_creates_wins(ground: &Ground) -> Checked {
    for round in 0..ground.options.rounds {
        let key = ground.key(format!("race/{round}"));
        contest(ground, "racing creates", &key, &Precondition::IfAbsent).await?;
    }
    Ok(())
}

/// Of many updates of one state at the same time, exactly one takes effect, and it is the one that was told so.
///
/// # Errors
/// What was seen instead.
pub async fn exactly_one_of_racing_updates_wins(ground: &Ground) -> Checked {
    let key = ground.key("race/updated");
    let mut revision = ground.write(&key, &ground.unique()).await?;
    for _ in 0..ground.options.rounds {
        revision = contest(ground, "racing updates of one state", &key, &Precondition::IfMatch(revision)).await?.revision;
    }
    Ok(())
}

async fn contest(ground: &Ground, what: &str, key: &Key, condition: &Precondition) -> Result<Object, Seen> {
    let bodies = (0..ground.options.racers).map(|_| ground.unique()).collect::<Vec<_>>();
    let deadline = ground.deadline();
    let answers = race(&ground.handles(), &*ground.clock, deadline, key, &bodies, condition).await;
    let found = match read(ground.store(0), &*ground.clock, &*ground.entropy, key, GetOptions::whole(), deadline).await?.value {
        Get::Found(object) => Some(object),
        Get::Absent | Get::NotModified => None,
    };
    match judge(what, key, answers, &bodies, found.as_ref()) {
        Verdict::Exact => found.ok_or_else(|| Seen("what won is not there".into())),
        Verdict::Broken(seen) => Err(Seen(seen)),
        Verdict::Undecided(error) => Err(error.into()),
    }
}

/// A counter that many tasks raise by compare-and-swap ends at the number of raises that were acknowledged.
///
/// # Errors
/// What was seen instead.
pub async fn a_counter_raised_by_compare_and_swap_is_exact(ground: &Ground) -> Checked {
    let key = ground.key("counter/object");
    ground.write(&key, &Counter::default().encode()).await?;
    let deadline = ground.deadline();
    let raised = join_all((0..ground.options.tasks).map(|task| raise(ground, task, &key, deadline))).await;
    let (mut acknowledged, mut unknown) = (0, 0);
    for result in raised {
        let (done, lost) = result?;
        acknowledged += done;
        unknown += lost;
    }
    let total = Counter::decode(&ground.object(0, &key).await?.bytes)?.total;
    ensure((acknowledged..=acknowledged + unknown).contains(&total), || {
        format!("the counter stands at {total} after {acknowledged} acknowledged raises and {unknown} unknown ones")
    })
}

/// How many raises of one task were acknowledged, and of how many the outcome stayed unknown.
async fn raise(ground: &Ground, task: usize, key: &Key, deadline: brainy_core::Moment) -> Result<(u64, u64), Seen> {
    let (store, clock, entropy) = (ground.store(task), &*ground.clock, &*ground.entropy);
    let (mut acknowledged, mut unknown) = (0, 0);
    while acknowledged + unknown < ground.options.increments as u64 {
        let found = match read(store, clock, entropy, key, GetOptions::whole(), deadline).await?.value {
            Get::Found(object) => object,
            other => return Err(Seen(format!("the counter is gone: {other:?}"))),
        };
        let nonce = Nonce::random(entropy).to_string();
        let next = Counter::decode(&found.bytes)?.raised(&nonce);
        let standing = |bytes: &[u8]| Counter::decode(bytes).map_or(Standing::Foreign, |counter| counter.standing(&nonce));
        match swap(store, clock, entropy, key, next.encode(), found.revision, &standing, deadline).await?.value {
            Swapped::Committed(_) | Swapped::Superseded => acknowledged += 1,
            Swapped::Rejected => {}
            Swapped::Unknown(_) => unknown += 1,
        }
    }
    Ok((acknowledged, unknown))
}

/// A number and the marks of its last states, newest first.
#[derive(Default)]
struct Counter {
    total: u64,
    marks: Vec<String>,
}

impl Counter {
    const MARKS: usize = 8;

    fn raised(mut self, nonce: &str) -> Self {
        self.total += 1;
        self.marks.insert(0, nonce.to_owned());
        self.marks.truncate(Self::MARKS + 1);
        self
    }

    fn standing(&self, nonce: &str) -> Standing {
        match self.marks.iter().position(|mark| mark == nonce) {
            Some(0) => Standing::Ours,
            Some(_) => Standing::Superseded,
            None => Standing::Foreign,
        }
    }

    fn encode(&self) -> Bytes {
        format!("{} {}", self.total, self.marks.join(" ")).into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Seen> {
        let wrong = || Seen("the counter holds bytes that nobody wrote".into());
        let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
        let mut words = text.split_whitespace();
        let total = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
        Ok(Self { total, marks: words.map(str::to_owned).collect() })
    }
}
