//! Real processes that write to one store at the same time and are killed at random: this test binary, started again in the role of a member.
//!
//! Every commit raises one of a few shared items by compare-and-swap and makes an item of its own, in one transaction. So the shared counts, the own
//! items and the log must all say the same, whatever the members were told; and what they were told must be true.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead as _, Write as _, stdin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use brainy::{
    Brainy, Clock as _, Error, Freshness, ItemFilter, Metadata, Metric, Mode, NounDraft, NounId, OpId, Resolution, SequenceNumber,
    TypeName, Version,
};
use brainy_core::SystemClock;
use futures_executor::block_on;
use serde_json::{Value, json};

use crate::members::{self, Chance, Heard, Life, SILENCE};

/// The variable that makes a process a member: its number, its life, how many commits it still has to make, the seed and the store.
const ROLE: &str = "BRAINY_TEST_MEMBER";
/// Items that all members raise.
const SHARED: usize = 48;
/// Threads of a member: what they send at the same time goes in one batch.
const THREADS: usize = 4;
/// Tries for one commit.
const TRIES: usize = 10_000;
/// Longest pause after a lost race.
const PAUSE: Duration = Duration::from_millis(10);

/// How large the crowd is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// Processes at the same time.
    pub(crate) members: usize,
    /// Commits each makes, over all its lives.
    pub(crate) commits: usize,
    /// How often each is killed.
    pub(crate) kills: usize,
}

/// What a member says: one line each, told before what follows from it.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    /// It is about to send this attempt, which raises this shared item.
    Try(u64, usize),
    /// The attempt has this name.
    Sent(u64, String),
    /// It took effect there.
    Done(u64, Version),
    /// It had and will have no effect.
    Not(u64),
    /// All its commits are made.
    End,
}

impl Said {
    fn line(&self) -> String {
        match self {
            Self::Try(attempt, item) => format!("@ try {attempt} {item}"),
            Self::Sent(attempt, op) => format!("@ sent {attempt} {op}"),
            Self::Done(attempt, version) => format!("@ done {attempt} {version}"),
            Self::Not(attempt) => format!("@ not {attempt}"),
            Self::End => "@ end".into(),
        }
    }

    /// None: the line is somebody else's, such as the test harness's.
    fn read(line: &str) -> Option<Self> {
        let number = |text: &str| text.parse().expect("members write numbers");
        let words: Vec<&str> = line.strip_prefix("@ ")?.split(' ').collect();
        Some(match words.as_slice() {
            ["try", attempt, item] => Self::Try(number(attempt), item.parse().expect("members write numbers")),
            ["sent", attempt, op] => Self::Sent(number(attempt), (*op).to_owned()),
            ["done", attempt, version] => Self::Done(number(attempt), version.parse().expect("members write versions")),
            ["not", attempt] => Self::Not(number(attempt)),
            ["end"] => Self::End,
            _ => panic!("a member says {line:?}"),
        })
    }
}

fn say(said: &Said) {
    members::say(&said.line());
}

fn shared(item: usize) -> NounId {
    NounId::new(format!("shared-{item}")).unwrap()
}

fn own(member: usize, attempt: u64) -> NounId {
    NounId::new(format!("own-{member}-{attempt}")).unwrap()
}

fn draft(id: NounId, kind: &str, metadata: &Value) -> NounDraft {
    NounDraft::new(id, TypeName::new(kind).unwrap()).with_metadata(Metadata::from_value(metadata).unwrap())
}

struct Member {
    db: Brainy,
    number: usize,
    attempts: AtomicU64,
    made: AtomicUsize,
    wanted: usize,
}

/// The life of a member, if this process is one; the whole of the test that members run.
pub(crate) fn live_if_member() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.splitn(5, ' ').collect();
    let &[number, attempts, wanted, seed, url] = words.as_slice() else { panic!("the role is {role:?}") };
    // The parent asked the store for its promises when it made it.
    let open = Brainy::builder(url).mode(Mode::WriteOnly).probe(false).freshness(Freshness::Local).open();
    let db = block_on(open).unwrap();
    let member = Member {
        db,
        number: number.parse().unwrap(),
        attempts: AtomicU64::new(attempts.parse().unwrap()),
        made: AtomicUsize::new(0),
        wanted: wanted.parse().unwrap(),
    };
    // First of all, what became of what its last life left in flight.
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let Some((attempt, op)) = line.split_once(' ') else { break };
        let said = member.resolved(attempt.parse().unwrap(), op.parse().unwrap());
        member.made.fetch_add(usize::from(matches!(said, Said::Done(..))), Ordering::Relaxed);
        say(&said);
    }
    let seed: u64 = seed.parse().unwrap();
    thread::scope(|scope| {
        for at in 0..THREADS {
            let member = &member;
            let seed = seed ^ ((member.number as u64) << 32) ^ (member.attempts.load(Ordering::Relaxed) << 8) ^ at as u64;
            scope.spawn(move || member.write(&mut Chance(seed)));
        }
    });
    say(&Said::End);
    // Killed or not, the parent decides when a life is over.
    drop(stdin().lock().lines().next());
}

impl Member {
    fn write(&self, chance: &mut Chance) {
        for _ in 0..TRIES {
            let wanted = |made| (made < self.wanted).then_some(made + 1);
            if self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wanted).is_err() {
                return;
            }
            if !self.attempt(chance) {
                self.made.fetch_sub(1, Ordering::Relaxed);
                block_on(SystemClock.sleep(PAUSE.mul_f64(chance.below(1_000) as f64 / 1_000.0)));
            }
        }
        panic!("member {} does not get on", self.number);
    }

    /// One try to raise a shared item; whether it took effect.
    fn attempt(&self, chance: &mut Chance) -> bool {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let item = chance.below(SHARED as u64) as usize;
        let mark = draft(own(self.number, attempt), "own", &json!({"of": item}));
        let raised = |count: u64| draft(shared(item), "shared", &json!({"count": count, "member": self.number, "attempt": attempt}));
        let transaction = self.db.transaction().put_if_absent(mark);
        let transaction = match block_on(self.db.get(shared(item))).unwrap() {
            None => transaction.put_if_absent(raised(1)),
            Some(noun) => {
                let count = noun.metadata.to_value()["count"].as_u64().unwrap();
                transaction.update_if_version(raised(count + 1), noun.version)
            }
        };
        say(&Said::Try(attempt, item));
        let mut commit = transaction.submit().unwrap();
        if let Some(op) = block_on(commit.op_id()) {
            say(&Said::Sent(attempt, op.to_string()));
        }
        let said = match block_on(commit.wait()) {
            Ok(receipt) => Said::Done(attempt, receipt.version),
            Err(Error::OutcomeUnknown { op }) => self.resolved(attempt, op),
            Err(Error::Conflict { .. } | Error::Withdrawn { .. }) => Said::Not(attempt),
            Err(error) => panic!("member {}: {error}", self.number),
        };
        say(&said);
        matches!(said, Said::Done(..))
    }

    fn resolved(&self, attempt: u64, op: OpId) -> Said {
        for _ in 0..10 {
            match block_on(self.db.resolve(op)).unwrap() {
                Resolution::Committed(receipt) => return Said::Done(attempt, receipt.version),
                Resolution::Rejected(_) => return Said::Not(attempt),
                _ => {}
            }
        }
        panic!("nobody can say what became of {op}");
    }
}

/// An attempt as far as the parent was told.
#[derive(Debug)]
struct Attempt {
    item: usize,
    op: Option<String>,
    /// None: not told; `Some(None)`: no effect.
    outcome: Option<Option<Version>>,
}

struct Parent<'a> {
    url: &'a str,
    test: &'a str,
    seed: u64,
    crowd: Crowd,
    journal: BTreeMap<(usize, u64), Attempt>,
    lives: Vec<Life>,
    /// After how many commits each member is killed next, the last first.
    kills: Vec<Vec<usize>>,
    killed_in_flight: usize,
    sender: Sender<Heard<Said>>,
}

/// Lets the crowd loose on a new store at `url` and checks that nothing was lost or doubled. `test` is the name of the test that calls [`live_if_member`].
pub(crate) fn run(url: &str, test: &str, crowd: Crowd) {
    let seed = members::seed();
    println!("{crowd:?} at {url}, BRAINY_TEST_SEED={seed}");
    let db = block_on(Brainy::builder(url).dimension(2).metric(Metric::L2).mode(Mode::WriteOnly).follow(false).create()).unwrap();
    let (sender, events) = channel();
    let mut chance = Chance(seed);
    let kills = (0..crowd.members).map(|_| {
        let mut kills: Vec<usize> = (0..crowd.kills).map(|_| chance.below(crowd.commits as u64 * 9 / 10) as usize).collect();
        kills.sort_unstable_by(|a, b| b.cmp(a));
        kills
    });
    let kills = kills.collect();
    let mut parent = Parent { url, test, seed, crowd, journal: BTreeMap::new(), lives: Vec::new(), kills, killed_in_flight: 0, sender };
    for member in 0..crowd.members {
        let life = parent.start(member, 0);
        parent.lives.push(life);
    }
    parent.listen(&events);
    let (conflicts, in_flight) = (parent.journal.values().filter(|attempt| attempt.outcome == Some(None)).count(), parent.killed_in_flight);
    println!("{} attempts, {conflicts} without effect; {in_flight} in flight when their process was killed", parent.journal.len());
    assert!(conflicts > 0, "the members were never in each other's way");
    assert!(in_flight > 0, "nothing was in flight at any kill");
    check(&db, url, &parent.journal, crowd);
}

impl Parent<'_> {
    fn start(&self, member: usize, life: usize) -> Life {
        let of_member = || self.journal.range((member, 0)..(member + 1, 0));
        let attempts = of_member().next_back().map_or(0, |((_, attempt), _)| attempt + 1);
        let wanted = self.crowd.commits - of_member().filter(|(_, attempt)| matches!(attempt.outcome, Some(Some(_)))).count();
        let role = format!("{member} {attempts} {wanted} {} {}", self.seed, self.url);
        let mut life = Life::start((ROLE, &role), self.test, member, life, Said::read, &self.sender);
        let in_flight = of_member().filter(|(_, attempt)| attempt.outcome.is_none());
        let mut orders = String::new();
        for ((_, attempt), noted) in in_flight {
            if let Some(op) = &noted.op {
                orders += &format!("{attempt} {op}\n");
            }
        }
        // An empty line ends what is to be resolved; the pipe stays open as long as the life may last.
        life.child.stdin.as_mut().unwrap().write_all(format!("{orders}\n").as_bytes()).unwrap();
        life
    }

    fn listen(&mut self, events: &Receiver<Heard<Said>>) {
        while self.lives.iter().any(|life| !life.ended) {
            let (member, life, said) = events.recv_timeout(SILENCE).expect("no member said anything for too long");
            assert_eq!(life, self.lives[member].number, "a life that was over says {said:?}");
            let Some(said) = said else {
                self.over(member);
                continue;
            };
            let noted = |journal: &mut BTreeMap<(usize, u64), Attempt>, attempt: u64, note: &mut dyn FnMut(&mut Attempt)| {
                note(journal.get_mut(&(member, attempt)).expect("members say first what they try"));
            };
            match said {
                Said::Try(attempt, item) => {
                    let before = self.journal.insert((member, attempt), Attempt { item, op: None, outcome: None });
                    assert!(before.is_none(), "member {member} tries {attempt} twice");
                }
                Said::Sent(attempt, op) => noted(&mut self.journal, attempt, &mut |noted| {
                    assert!(noted.op.replace(op.clone()).is_none(), "member {member} names {attempt} twice");
                }),
                Said::Done(attempt, version) => noted(&mut self.journal, attempt, &mut |noted| {
                    assert!(noted.outcome.replace(Some(version)).is_none(), "member {member} ends {attempt} twice");
                }),
                Said::Not(attempt) => noted(&mut self.journal, attempt, &mut |noted| {
                    assert!(noted.outcome.replace(None).is_none(), "member {member} ends {attempt} twice");
                }),
                Said::End => {
                    self.lives[member].ended = true;
                    continue;
                }
            }
            let done = self.journal.range((member, 0)..(member + 1, 0)).filter(|(_, attempt)| matches!(attempt.outcome, Some(Some(_))));
            if self.kills[member].last().is_some_and(|kill| done.count() >= *kill) {
                self.kills[member].pop();
                self.lives[member].child.kill().unwrap();
            }
        }
    }

    /// The member's life is over and everything it said was read.
    fn over(&mut self, member: usize) {
        let Life { number: life, ended, .. } = self.lives[member];
        let status = self.lives[member].child.wait().unwrap();
        assert!(status.code().is_none(), "member {member} ended by itself: {status}");
        if ended {
            // Killed when it had said everything.
            return;
        }
        let in_flight =
            self.journal.range((member, 0)..(member + 1, 0)).filter(|(_, attempt)| attempt.op.is_some() && attempt.outcome.is_none());
        self.killed_in_flight += in_flight.count();
        self.lives[member] = self.start(member, life + 1);
    }
}

fn check(db: &Brainy, url: &str, journal: &BTreeMap<(usize, u64), Attempt>, crowd: Crowd) {
    let token = block_on(db.refresh()).unwrap();
    let names: HashMap<&str, (usize, u64)> = journal.iter().filter_map(|(mark, attempt)| Some((attempt.op.as_deref()?, *mark))).collect();
    let mut effects: BTreeMap<(usize, u64), Vec<Version>> = BTreeMap::new();
    let mut nameless = BTreeSet::new();
    for number in 1..=token.seq {
        let slot = block_on(db.log_slot(SequenceNumber::new(number).unwrap())).unwrap().expect("the log has no gap");
        for transaction in slot.transactions.iter().filter(|transaction| transaction.effective == Some(true)) {
            let Some(brainy::Operation::PutNoun { noun, .. }) = transaction.operations.first() else { continue };
            let id =
                noun.id.as_str().strip_prefix("own-").and_then(|id| id.split_once('-')).expect("the first operation makes an own item");
            let mark = (id.0.parse().unwrap(), id.1.parse().unwrap());
            match names.get(transaction.op.to_string().as_str()) {
                Some(named) => assert_eq!(*named, mark, "{} is another attempt's name", transaction.op),
                None => drop(nameless.insert(mark)),
            }
            effects.entry(mark).or_default().push(transaction.version);
        }
    }
    for (mark, attempt) in journal {
        let effects = effects.get(mark).map_or(&[][..], Vec::as_slice);
        assert!(effects.len() <= 1, "{mark:?} took effect at {effects:?}");
        match attempt.outcome {
            Some(Some(version)) => assert_eq!(effects, [version], "{mark:?} was acknowledged"),
            Some(None) => assert_eq!(effects, [], "{mark:?} was said to have no effect"),
            // Killed before its name was told: it may have taken effect, once.
            None => assert!(attempt.op.is_none(), "{mark:?} was never resolved"),
        }
    }
    for mark in &nameless {
        assert!(journal[mark].op.is_none(), "{mark:?} took effect under another name than was told");
    }
    let mut raised = BTreeMap::new();
    for mark in effects.keys() {
        *raised.entry(journal[mark].item).or_insert(0) += 1;
    }
    for member in 0..crowd.members {
        let told = journal.range((member, 0)..(member + 1, 0)).filter(|(_, attempt)| matches!(attempt.outcome, Some(Some(_)))).count();
        // What is in flight at a kill may turn out to be more than was still wanted.
        assert!(told >= crowd.commits, "member {member} was told of {told} commits");
    }
    let db = db.with_freshness(Freshness::Local);
    let (mut owned, mut counts, mut last) = (BTreeSet::new(), BTreeMap::new(), None);
    loop {
        let page = block_on(db.scan(last.as_ref(), 1_000, &ItemFilter::all())).unwrap();
        let Some(noun) = page.last() else { break };
        last = Some(noun.id.clone());
        for noun in page {
            match noun.id.as_str().strip_prefix("shared-") {
                Some(item) => drop(counts.insert(item.parse::<usize>().unwrap(), noun.metadata.to_value()["count"].as_u64().unwrap())),
                None => drop(owned.insert(noun.id)),
            }
        }
    }
    assert_eq!(counts, raised, "shared items were raised once for each effect");
    let expected: BTreeSet<NounId> = effects.keys().map(|(member, attempt)| own(*member, *attempt)).collect();
    assert_eq!(owned, expected, "own items are those of the attempts that took effect");
    let statistics = block_on(db.statistics()).unwrap().statistics;
    assert_eq!(statistics.nouns, (owned.len() + counts.len()) as u64);
    // A process that comes later sees the same, and no transaction waits anywhere.
    let later = block_on(Brainy::builder(url).mode(Mode::ReadOnly).freshness(Freshness::AtLeast(token)).open()).unwrap();
    assert_eq!(block_on(later.digest()).unwrap(), block_on(db.digest()).unwrap());
    println!("{} slots, {} effects, {} of them nameless", token.seq, effects.len(), nameless.len());
}
