//! Real processes that contend for one lock, and are paused for longer than a lease lives, and killed: this test binary, started again as a contender.
//!
//! Whoever holds the lock reads the register and writes it raised by one under its fencing token, without a precondition: nothing but the lock and its fence keeps two
//! from writing the same count. A contender asks its parent before each write is sent, so that the parent can stop it between its last look at the lock and the write.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _, stdin};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use brainy::{
    Brainy, Error, ErrorKind, Guard, LockOptions, Metadata, Metric, Mode, NounDraft, NounId, Resolution, SequenceNumber, TypeName, Version,
};
use futures_executor::block_on;
use serde_json::json;

use crate::members::{self, Chance, Heard, Life, SILENCE};

/// The variable that makes a process a contender: its number, the next number of its attempts, its terms still to come, and the store.
const ROLE: &str = "BRAINY_TEST_CONTENDER";
const LOCK: &str = "register";
/// How long an unrenewed lease lives.
const TTL: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);
/// Longest wait for the lock.
const PATIENCE: Duration = Duration::from_secs(110);
/// Writes of a holder before it frees the lock.
const WRITES: usize = 3;

/// How many contend, and what is done to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest {
    /// Processes at the same time.
    pub(crate) members: usize,
    /// How often each takes the lock, over all its lives.
    pub(crate) terms: usize,
    /// How many holders are stopped until somebody else holds the lock.
    pub(crate) pauses: usize,
    /// How many holders are killed.
    pub(crate) kills: usize,
}

/// What a contender says, one line each.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    /// It holds the lock, under this token.
    Took(u64),
    /// It is about to send this attempt under this token, and waits for leave.
    Try(u64, u64),
    /// The attempt has this name.
    Sent(u64, String),
    /// It took effect there.
    Done(u64, Version),
    /// It had no effect: a later holder has claimed the lock.
    Fenced(u64),
    /// It had and will have no effect, for another reason.
    Not(u64),
    /// It noticed by itself that it does not hold the lock any more.
    Lost,
    /// All its terms are over.
    End,
}

impl Said {
    fn line(&self) -> String {
        match self {
            Self::Took(token) => format!("@ took {token}"),
            Self::Try(attempt, token) => format!("@ try {attempt} {token}"),
            Self::Sent(attempt, op) => format!("@ sent {attempt} {op}"),
            Self::Done(attempt, version) => format!("@ done {attempt} {version}"),
            Self::Fenced(attempt) => format!("@ fenced {attempt}"),
            Self::Not(attempt) => format!("@ not {attempt}"),
            Self::Lost => "@ lost".into(),
            Self::End => "@ end".into(),
        }
    }

    /// None: the line is somebody else's, such as the test harness's.
    fn read(line: &str) -> Option<Self> {
        let number = |text: &str| text.parse().expect("contenders write numbers");
        let words: Vec<&str> = line.strip_prefix("@ ")?.split(' ').collect();
        Some(match words.as_slice() {
            ["took", token] => Self::Took(number(token)),
            ["try", attempt, token] => Self::Try(number(attempt), number(token)),
            ["sent", attempt, op] => Self::Sent(number(attempt), (*op).to_owned()),
            ["done", attempt, version] => Self::Done(number(attempt), version.parse().expect("contenders write versions")),
            ["fenced", attempt] => Self::Fenced(number(attempt)),
            ["not", attempt] => Self::Not(number(attempt)),
            ["lost"] => Self::Lost,
            ["end"] => Self::End,
            _ => panic!("a contender says {line:?}"),
        })
    }
}

fn register() -> NounId {
    NounId::new("register").unwrap()
}

fn say(said: &Said) {
    members::say(&said.line());
}

/// The life of a contender, if this process is one; the whole of the test that contenders run.
pub(crate) fn live_if_contender() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.splitn(4, ' ').collect();
    let &[number, attempts, terms, url] = words.as_slice() else { panic!("the role is {role:?}") };
    // The parent asked the store for its promises when it made it.
    let db = block_on(Brainy::builder(url).probe(false).open()).unwrap();
    let options = LockOptions::default().with_ttl(TTL).with_poll(POLL).with_note(format!("contender {number}"));
    let lock = db.lock(LOCK, options).unwrap();
    let mut attempt: u64 = attempts.parse().unwrap();
    for _ in 0..terms.parse::<usize>().unwrap() {
        let guard = loop {
            match block_on(lock.acquire(PATIENCE)) {
                Ok(guard) => break guard,
                // Whether it was taken was not told in time: it is not held.
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {}
                Err(error) => panic!("contender {number}: {error}"),
            }
        };
        say(&Said::Took(guard.token()));
        for _ in 0..WRITES {
            attempt += 1;
            if !write(&db, &guard, number, attempt) {
                break;
            }
        }
        // Not known to be free: others get it when its life ends.
        drop(block_on(guard.release()));
    }
    say(&Said::End);
    // Killed or not, the parent decides when a life is over.
    drop(stdin().lock().lines().next());
}

/// Raises the register by one; false once the lock is lost.
fn write(db: &Brainy, guard: &Guard, number: &str, attempt: u64) -> bool {
    block_on(db.refresh()).unwrap();
    let count = block_on(db.get(register())).unwrap().map_or(0, |noun| noun.metadata.to_value()["count"].as_u64().unwrap());
    let written = json!({"count": count + 1, "member": number.parse::<usize>().unwrap(), "attempt": attempt, "token": guard.token()});
    let draft = NounDraft::new(register(), TypeName::new("register").unwrap()).with_metadata(Metadata::from_value(&written).unwrap());
    let Ok(transaction) = db.transaction().put(draft).under(guard) else {
        say(&Said::Lost);
        return false;
    };
    say(&Said::Try(attempt, guard.token()));
    let leave = stdin().lock().lines().next();
    assert!(leave.is_some_and(|line| line.unwrap() == "go"), "the parent is gone");
    let mut commit = transaction.submit().unwrap();
    if let Some(op) = block_on(commit.op_id()) {
        say(&Said::Sent(attempt, op.to_string()));
    }
    let (said, holds) = match block_on(commit.wait()) {
        Ok(receipt) => (Said::Done(attempt, receipt.version), true),
        Err(Error::Fenced { .. }) => (Said::Fenced(attempt), false),
        Err(Error::Withdrawn { .. }) => (Said::Not(attempt), true),
        Err(Error::OutcomeUnknown { op }) => match block_on(db.resolve(op)).unwrap() {
            Resolution::Committed(receipt) => (Said::Done(attempt, receipt.version), true),
            Resolution::Rejected(_) => (Said::Not(attempt), true),
            other => panic!("nobody can say what became of {op}: {other:?}"),
        },
        Err(error) => panic!("contender {number}: {error}"),
    };
    say(&said);
    holds
}

/// What is done to a holder when it asks for leave to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It is stopped before its write is sent, until somebody else holds the lock.
    PauseBefore,
    /// It is stopped while its write may be under way.
    PauseDuring,
    /// It is killed while its write may be under way.
    Kill,
}

#[derive(Debug, Default)]
struct Attempt {
    token: u64,
    op: Option<String>,
    done: Option<Version>,
    without_effect: bool,
}

struct Parent<'a> {
    url: &'a str,
    test: &'a str,
    contest: Contest,
    lives: Vec<Life>,
    /// What is done in which term, counted over all members.
    deeds: BTreeMap<usize, Deed>,
    /// In its present term.
    due: Vec<Option<Deed>>,
    /// Its token, while it is stopped, and whether it still has to get leave.
    stopped: Vec<Option<(u64, bool)>>,
    terms: Vec<usize>,
    /// Whose each token was.
    tokens: BTreeMap<u64, usize>,
    journal: BTreeMap<(usize, u64), Attempt>,
    fenced: usize,
    lost: usize,
    overtaken: usize,
    sender: Sender<Heard<Said>>,
}

/// Lets contenders loose on a new store at `url`. `test` is the name of the test that calls [`live_if_contender`].
pub(crate) fn run(url: &str, test: &str, contest: Contest) {
    let seed = members::seed();
    println!("{contest:?} at {url}, BRAINY_TEST_SEED={seed}");
    let db = block_on(Brainy::builder(url).dimension(2).metric(Metric::L2).mode(Mode::WriteOnly).follow(false).create()).unwrap();
    let mut chance = Chance(seed);
    // Not in the last terms: whoever is stopped there would wait for a rival in vain.
    let terms = (contest.members * contest.terms - 2 * contest.members) as u64;
    let mut deeds = BTreeMap::new();
    while deeds.len() < contest.pauses + contest.kills {
        let deed = match deeds.len() {
            done if done >= contest.pauses => Deed::Kill,
            done if done % 2 == 0 => Deed::PauseBefore,
            _ => Deed::PauseDuring,
        };
        deeds.entry(chance.below(terms) as usize).or_insert(deed);
    }
    let (sender, events) = channel();
    let mut parent = Parent {
        url,
        test,
        contest,
        lives: Vec::new(),
        deeds,
        due: vec![None; contest.members],
        stopped: vec![None; contest.members],
        terms: vec![0; contest.members],
        tokens: BTreeMap::new(),
        journal: BTreeMap::new(),
        fenced: 0,
        lost: 0,
        overtaken: 0,
        sender,
    };
    for member in 0..contest.members {
        let life = parent.start(member, 0);
        parent.lives.push(life);
    }
    parent.listen(&events);
    let Parent { fenced, lost, overtaken, .. } = parent;
    println!(
        "{} terms, {overtaken} holders overtaken while stopped; {fenced} writes fenced, {lost} losses noticed before",
        parent.tokens.len()
    );
    assert_eq!(overtaken, contest.pauses, "each stopped holder was overtaken");
    assert!(fenced > 0, "no holder of the past ever wrote");
    check(&db, &parent);
}

/// Stops or continues a process.
fn signal(name: &str, process: u32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap();
    assert!(sent.success(), "kill -{name} {process}: {sent}");
}

impl Parent<'_> {
    fn start(&self, member: usize, life: usize) -> Life {
        let attempts = self.journal.range((member, 0)..(member + 1, 0)).next_back().map_or(0, |((_, attempt), _)| *attempt);
        let role = format!("{member} {attempts} {} {}", self.contest.terms - self.terms[member], self.url);
        Life::start((ROLE, &role), self.test, member, life, Said::read, &self.sender)
    }

    fn listen(&mut self, events: &Receiver<Heard<Said>>) {
        while self.lives.iter().any(|life| !life.ended) {
            let (member, life, said) = events.recv_timeout(SILENCE).expect("no contender said anything for too long");
            assert_eq!(life, self.lives[member].number, "a life that was over says {said:?}");
            match said {
                None => self.over(member),
                Some(Said::Took(token)) => self.took(member, token),
                Some(Said::Try(attempt, token)) => {
                    self.journal.insert((member, attempt), Attempt { token, ..Attempt::default() });
                    self.tries(member, token);
                }
                Some(Said::Sent(attempt, op)) => self.note(member, attempt).op = Some(op),
                Some(Said::Done(attempt, version)) => self.note(member, attempt).done = Some(version),
                Some(Said::Fenced(attempt)) => {
                    self.fenced += 1;
                    self.note(member, attempt).without_effect = true;
                }
                Some(Said::Not(attempt)) => self.note(member, attempt).without_effect = true,
                Some(Said::Lost) => self.lost += 1,
                Some(Said::End) => self.lives[member].ended = true,
            }
        }
    }

    fn note(&mut self, member: usize, attempt: u64) -> &mut Attempt {
        self.journal.get_mut(&(member, attempt)).expect("contenders ask before they send")
    }

    fn took(&mut self, member: usize, token: u64) {
        let term = self.tokens.len();
        assert_eq!(self.tokens.insert(token, member), None, "token {token} was given to two");
        self.terms[member] += 1;
        self.due[member] = self.deeds.get(&term).copied();
        // Whoever was stopped under an older token has been overtaken.
        for other in 0..self.stopped.len() {
            if let Some((old, waits)) = self.stopped[other].take_if(|(old, _)| *old < token) {
                assert_ne!(old, token);
                self.overtaken += 1;
                if waits {
                    self.give_leave(other);
                }
                signal("CONT", self.lives[other].child.id());
            }
        }
    }

    fn tries(&mut self, member: usize, token: u64) {
        match self.due[member].take() {
            None => self.give_leave(member),
            Some(Deed::PauseBefore) => {
                signal("STOP", self.lives[member].child.id());
                self.stopped[member] = Some((token, true));
            }
            Some(Deed::PauseDuring) => {
                self.give_leave(member);
                signal("STOP", self.lives[member].child.id());
                self.stopped[member] = Some((token, false));
            }
            Some(Deed::Kill) => {
                self.give_leave(member);
                self.lives[member].child.kill().unwrap();
            }
        }
    }

    fn give_leave(&mut self, member: usize) {
        self.lives[member].child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// The contender's life is over and everything it said was read.
    fn over(&mut self, member: usize) {
        let Life { number: life, ended, .. } = self.lives[member];
        let status = self.lives[member].child.wait().unwrap();
        assert!(status.code().is_none(), "contender {member} ended by itself: {status}");
        if !ended {
            self.lives[member] = self.start(member, life + 1);
        }
    }
}

fn check(db: &Brainy, parent: &Parent<'_>) {
    let token = block_on(db.refresh()).unwrap();
    let (mut claimed, mut count) = (0, 0);
    let mut effects: BTreeMap<(usize, u64), Version> = BTreeMap::new();
    for number in 1..=token.seq {
        let slot = block_on(db.log_slot(SequenceNumber::new(number).unwrap())).unwrap().expect("the log has no gap");
        for transaction in slot.transactions.iter().filter(|transaction| transaction.effective == Some(true)) {
            let claim = transaction.protocol.iter().find_map(|words| words.strip_prefix("LeaseClaim { name: \"register\", token: "));
            if let Some(claim) = claim {
                let claim: u64 = claim.trim_end_matches(" }").parse().unwrap();
                assert!(claim > claimed, "token {claim} was claimed after {claimed}");
                claimed = claim;
            }
            let Some(brainy::Operation::PutNoun { noun, .. }) = transaction.operations.first() else { continue };
            let written = noun.metadata.to_value();
            let field = |name: &str| written[name].as_u64().unwrap();
            let mark = (field("member") as usize, field("attempt"));
            assert_eq!(field("token"), claimed, "{mark:?} took effect in slot {number} though it was not the lock's holder");
            // Killed right after it claimed, it may not have told its parent.
            assert!(parent.tokens.get(&claimed).is_some_and(|holder| *holder == mark.0), "token {claimed} is another's");
            assert_eq!(field("count"), count + 1, "{mark:?} wrote over a count that it had not read");
            count += 1;
            assert_eq!(effects.insert(mark, transaction.version), None, "{mark:?} took effect twice");
        }
    }
    for (mark, attempt) in &parent.journal {
        let effect = effects.remove(mark);
        if attempt.done.is_some() {
            assert_eq!(effect, attempt.done, "{mark:?} was acknowledged");
        } else if attempt.without_effect {
            assert_eq!(effect, None, "{mark:?}, under token {}, was said to have no effect", attempt.token);
        } else if let Some(op) = &attempt.op {
            let told = match block_on(db.resolve(op.parse().unwrap())).unwrap() {
                Resolution::Committed(receipt) => Some(receipt.version),
                Resolution::Rejected(_) => None,
                other => panic!("nobody can say what became of {op}: {other:?}"),
            };
            assert_eq!(effect, told, "{mark:?} was in flight when its process was killed");
        }
    }
    assert_eq!(effects, BTreeMap::new(), "nothing took effect that nobody tried");
    let register = block_on(db.get(register())).unwrap().unwrap();
    assert_eq!(register.metadata.to_value()["count"].as_u64(), Some(count), "the register is the number of writes that took effect");
    println!("{} slots, {count} effective writes under {} tokens, highest claim {claimed}", token.seq, parent.tokens.len());
}
