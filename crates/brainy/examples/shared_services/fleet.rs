//! The processes: started, spoken to over pipes, one of them killed and started again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::Failure;
use crate::chance::Chance;
use crate::change::Mark;
use crate::journal::{Attempt, Journal, Line, Order, Spent, Stage, Task, View};
use crate::options::{Options, Role};
use crate::plan::{CHANGES, Plan, RAISES};

/// Longest silence of all services together; then something hangs.
const SILENCE: Duration = Duration::from_secs(180);
/// How often the victim is killed if nothing of it is in flight, before the run gives up.
const KILLS: usize = 5;

/// When which service is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// Which.
    pub service: usize,
    /// In which part of the work.
    pub stage: Stage,
    /// After it has told the names of so many attempts in it.
    pub after: usize,
}

impl Sentence {
    /// The one of this seed, within what the service certainly sends.
    pub(crate) fn new(plans: &[Plan], seed: u64) -> Self {
        let mut chance = Chance::new(seed, &[400]);
        let service = chance.below(plans.len());
        let stage = *chance.of(&Stage::ALL);
        let certain = RAISES
            + match stage {
                Stage::Import => plans[service].own,
                Stage::Relate => 0,
                Stage::Change => CHANGES,
            };
        Self { service, stage, after: certain / 4 + chance.below(certain / 2).max(1) }
    }
}

/// What a reader of a pipe passes on.
enum Event {
    Line(Line),
    /// Not a line of ours.
    Broken(String),
    /// The pipe is closed: the process is gone.
    End,
}

struct Process {
    child: Child,
    orders: ChildStdin,
    life: usize,
    spent: Spent,
}

/// What the parent knows of one service.
struct Member {
    process: Process,
    /// What its lives before this one spent, as far as they told.
    spent: Spent,
    /// It ended as it should.
    closed: bool,
}

/// All services of a run.
pub(crate) struct Fleet<'a> {
    options: &'a Options,
    store: &'a str,
    seed: u64,
    sentence: Sentence,
    kills: usize,
    /// Attempts whose names were told and whose outcomes were not when their process was killed.
    pub in_flight: Vec<Mark>,
    /// The life that was killed last has not ended yet.
    dying: bool,
    members: Vec<Member>,
    events: Receiver<(usize, usize, Event)>,
    sender: Sender<(usize, usize, Event)>,
    /// Everything the services said of their writes.
    pub journal: Journal,
    /// Told to people: what happens, as it happens.
    tell: fn(&str),
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and only its exit code to fetch.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl<'a> Fleet<'a> {
    /// Starts all services and waits until they have opened the store.
    pub(crate) fn start(options: &'a Options, store: &'a str, seed: u64, sentence: Sentence, tell: fn(&str)) -> Result<Self, Failure> {
        let (sender, events) = channel();
        let (members, journal) = (Vec::new(), Journal::default());
        let mut fleet =
            Self { options, store, seed, sentence, kills: 0, in_flight: Vec::new(), dying: false, members, events, sender, journal, tell };
        for service in 0..options.services {
            let process = fleet.spawn(service, 0, &[])?;
            fleet.members.push(Member { process, spent: Spent::default(), closed: false });
        }
        fleet.wait_for_all(None, |line| matches!(line, Line::Ready))?;
        Ok(fleet)
    }

    fn spawn(&self, service: usize, life: usize, resolve: &[(u64, String)]) -> Result<Process, Failure> {
        let attempts = self.journal.of(service).last().map_or(0, |(mark, _)| mark.attempt + 1);
        let arguments = self.options.of_service(self.store, self.seed, Role { service, attempts });
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (orders, lines) = (child.stdin.take().expect("it was piped"), child.stdout.take().expect("it was piped"));
        let sender = self.sender.clone();
        thread::Builder::new().name(format!("service-{service}")).spawn(move || {
            let mut lines = BufReader::new(lines);
            let mut text = Vec::new();
            loop {
                text.clear();
                // What a killed process wrote last may be half a line: it was not said.
                let event = match lines.read_until(b'\n', &mut text) {
                    Ok(_) if text.last() == Some(&b'\n') => match serde_json::from_slice(&text) {
                        Ok(line) => Event::Line(line),
                        Err(error) => Event::Broken(format!("{error}: {}", String::from_utf8_lossy(&text))),
                    },
                    _ => Event::End,
                };
                let over = matches!(event, Event::End);
                if sender.send((service, life, event)).is_err() || over {
                    return;
                }
            }
        })?;
        let mut process = Process { child, orders, life, spent: Spent::default() };
        order(&mut process, &Order::Begin { resolve: resolve.to_vec() })?;
        Ok(process)
    }

    /// Has all services do a part of the work, and kills one if it is its time.
    pub(crate) fn work(&mut self, stage: Stage) -> Result<(), Failure> {
        for service in 0..self.members.len() {
            self.order_stage(service, stage)?;
        }
        self.wait_for_all(Some(stage), |line| *line == Line::Finished(stage))
    }

    fn order_stage(&mut self, service: usize, stage: Stage) -> Result<(), Failure> {
        let of_stage = |task: Task| {
            let committed = self.journal.of(service).filter(|(_, attempt)| attempt.stage == stage && attempt.task == task);
            committed.filter(|(_, attempt)| attempt.is_committed()).count()
        };
        let (raised, done) = (of_stage(Task::Raise), of_stage(Task::Stage));
        order(&mut self.members[service].process, &Order::Stage { stage, raised, done })
    }

    /// How the store looks to each service at this position.
    pub(crate) fn views(&mut self, token: &str) -> Result<Vec<View>, Failure> {
        for member in &mut self.members {
            order(&mut member.process, &Order::View { token: token.to_owned() })?;
        }
        let mut views = vec![None; self.members.len()];
        while views.iter().any(Option::is_none) {
            let (service, line) = self.next(None)?;
            if let Line::View(view) = line {
                views[service] = Some(view);
            }
        }
        Ok(views.into_iter().flatten().collect())
    }

    /// Has all services close and end.
    pub(crate) fn close(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            member.closed = true;
            order(&mut member.process, &Order::Close)?;
        }
        for _ in 0..self.members.len() {
            let (service, life, event) = self.events.recv_timeout(SILENCE)?;
            let process = &mut self.members[service].process;
            match event {
                Event::End if life == process.life => {}
                Event::Line(Line::Failed(reason)) | Event::Broken(reason) => return Err(format!("service {service}: {reason}").into()),
                Event::End | Event::Line(_) => return Err(format!("service {service} says something after the end").into()),
            }
            let status = process.child.wait()?;
            if !status.success() {
                return Err(format!("service {service} ended with {status}").into());
            }
        }
        Ok(())
    }

    /// What each service spent in all its lives, as far as it told: a killed one tells no more after its last report.
    pub(crate) fn spent(&self) -> Vec<Spent> {
        self.members.iter().map(|member| member.spent.and(&member.process.spent)).collect()
    }

    /// Whether this service was killed.
    pub(crate) fn was_killed(&self, service: usize) -> bool {
        self.members[service].process.life > 0
    }

    fn wait_for_all(&mut self, stage: Option<Stage>, wanted: impl Fn(&Line) -> bool) -> Result<(), Failure> {
        let mut waiting: Vec<bool> = vec![true; self.members.len()];
        while waiting.contains(&true) {
            let (service, line) = self.next(stage)?;
            if wanted(&line) {
                waiting[service] = false;
            }
        }
        Ok(())
    }

    /// The next thing that a service says, with everything done that follows from it.
    fn next(&mut self, stage: Option<Stage>) -> Result<(usize, Line), Failure> {
        loop {
            let silent = |_| format!("no service said anything for {} seconds", SILENCE.as_secs());
            let (service, life, event) = self.events.recv_timeout(SILENCE).map_err(silent)?;
            let line = match event {
                Event::Line(line) => line,
                Event::Broken(line) => return Err(format!("service {service} said {line}").into()),
                Event::End => {
                    self.ended(service, life)?;
                    continue;
                }
            };
            self.journal.note(service, life, &line)?;
            match &line {
                Line::Failed(reason) => return Err(format!("service {service}: {reason}").into()),
                Line::Spent(spent) => self.members[service].process.spent = *spent,
                Line::Sent { .. } => self.execute(service, life)?,
                // A life that takes another's place begins where the others are.
                Line::Ready => {
                    if let (Some(stage), true) = (stage, life > 0) {
                        self.order_stage(service, stage)?;
                    }
                }
                // It was killed after it had said so; the life that takes its place says it again.
                Line::Finished(_) if self.dying && service == self.sentence.service => continue,
                _ => {}
            }
            return Ok((service, line));
        }
    }

    /// Kills the service if it has told the names of as many attempts of the stage as it was given.
    fn execute(&mut self, service: usize, life: usize) -> Result<(), Failure> {
        let Sentence { service: victim, stage, after } = self.sentence;
        if service != victim || self.dying || !self.in_flight.is_empty() || life != self.members[service].process.life {
            return Ok(());
        }
        let sent = |(_, attempt): &(&Mark, &Attempt)| attempt.stage == stage && attempt.op.is_some();
        if self.journal.of(service).filter(sent).count() < after + self.kills || self.kills == KILLS {
            return Ok(());
        }
        self.members[service].process.child.kill()?;
        (self.dying, self.kills) = (true, self.kills + 1);
        Ok(())
    }

    /// What the dead process said last has been read: what it did not say is in flight. A new one takes its place.
    fn ended(&mut self, service: usize, life: usize) -> Result<(), Failure> {
        let member = &mut self.members[service];
        let status = member.process.child.wait()?;
        if !self.dying || service != self.sentence.service || life != member.process.life {
            return Err(format!("service {service} ended with {status}").into());
        }
        self.dying = false;
        member.spent = member.spent.and(&member.process.spent);
        let open = self.journal.of(service).filter(|(_, attempt)| attempt.in_flight());
        let open: Vec<(Mark, String)> = open.filter_map(|(mark, attempt)| Some((*mark, attempt.op.clone()?))).collect();
        (self.tell)(&format!(
            "service-{service} was killed with SIGKILL ({status}), {} of its writes in flight; it is started again",
            open.len()
        ));
        self.in_flight.extend(open.iter().map(|(mark, _)| *mark));
        let resolve: Vec<(u64, String)> = open.into_iter().map(|(mark, op)| (mark.attempt, op)).collect();
        self.members[service].process = self.spawn(service, life + 1, &resolve)?;
        Ok(())
    }
}

fn order(process: &mut Process, order: &Order) -> Result<(), Failure> {
    let mut text = serde_json::to_vec(order)?;
    text.push(b'\n');
    process.orders.write_all(&text)?;
    Ok(process.orders.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::small;

    #[test]
    fn the_victim_and_its_moment_follow_from_the_seed() {
        let data = small(400, &[(0, 1)]);
        let plans: Vec<Plan> = (0..4).map(|service| Plan::new(&data, 4, service, 1)).collect();
        let sentences: Vec<Sentence> = (0..100).map(|seed| Sentence::new(&plans, seed)).collect();
        assert_eq!(sentences[7], Sentence::new(&plans, 7));
        for service in 0..4 {
            assert!(sentences.iter().any(|sentence| sentence.service == service));
        }
        for stage in Stage::ALL {
            assert!(sentences.iter().any(|sentence| sentence.stage == stage));
        }
        assert!(sentences.iter().all(|sentence| (1..RAISES + CHANGES).contains(&sentence.after)));
    }
}
