//! Transactions on their way, several at once.

use brainy::{Brainy, Error, ErrorKind, Freshness, NounDraft, NounId, TransactionBuilder, TypeName, VerbDraft};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::ProgressBar;

use crate::failure::Failure;
use crate::import::batches::{Batch, Batches, Draft};

/// Transactions whose outcome is waited for at once: the log commits those together that come while one is on its way.
const IN_FLIGHT: usize = 8;
/// How often a batch is looked through again because somebody else made one of its items meanwhile.
const ATTEMPTS: u32 = 16;

/// What was written of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Lines in committed transactions.
    pub(crate) lines: u64,
    /// Items that those transactions changed.
    pub(crate) changed: u64,
    /// Lines whose item was there and was left alone, as asked.
    pub(crate) skipped: u64,
    /// Transactions that were committed.
    pub(crate) commits: u64,
    /// Transactions that somebody else's write made void, and that were formed anew.
    pub(crate) conflicts: u64,
}

impl Tally {
    /// Adds what one batch came to.
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.changed += other.changed;
        self.skipped += other.skipped;
        self.commits += other.commits;
        self.conflicts += other.conflicts;
    }
}

/// Writes batches.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    /// Where to.
    pub(crate) db: &'a Brainy,
    /// Whether items that are there stay as they are.
    pub(crate) if_absent: bool,
    /// The type of ends of relations that are made where they are missing.
    pub(crate) missing: Option<TypeName>,
    /// Moves by lines.
    pub(crate) bar: &'a ProgressBar,
}

/// What a [`Writer`] can write.
pub(crate) trait Write: Draft + Sized {
    /// Writes the whole batch or nothing of it.
    async fn write(writer: &Writer<'_>, batch: Batch<Self>) -> Result<Tally, Failure>;
}

impl Writer<'_> {
    /// Writes all batches, adding what was committed to `tally`. After a failure no further batch is begun; those on their way are waited for, so that
    /// `tally` is right then too.
    pub(crate) async fn write_all<T, F>(&self, mut batches: Batches<T, F>, tally: &mut Tally) -> Result<(), Failure>
    where
        T: Write,
        F: FnMut() -> Result<Option<(u64, T)>, Failure>,
    {
        let mut flying = FuturesUnordered::new();
        let (mut failure, mut more) = (None, true);
        loop {
            while more && flying.len() < IN_FLIGHT {
                match batches.next_batch() {
                    // New futures are first polled in this order, and submit at once: a later line's item comes after an earlier one's.
                    Ok(Some(batch)) => flying.push(T::write(self, batch)),
                    Ok(None) => more = false,
                    Err(error) => (failure, more) = (failure.or(Some(error)), false),
                }
            }
            match flying.next().await {
                Some(Ok(written)) => {
                    self.bar.inc(written.lines);
                    tally.add(written);
                }
                Some(Err(error)) => (failure, more) = (failure.or(Some(error)), false),
                None => return failure.map_or(Ok(()), Err),
            }
        }
    }
}

impl Write for NounDraft {
    async fn write(writer: &Writer<'_>, mut batch: Batch<Self>) -> Result<Tally, Failure> {
        let mut tally = Tally { lines: batch.lines, ..Tally::default() };
        if !writer.if_absent {
            let transaction = batch.items.iter().fold(writer.db.transaction(), |all, (_, noun)| all.put(noun.clone()));
            return commit(transaction, &batch, tally).await.map_err(|error| name(&batch, error));
        }
        let mut db = writer.db.clone();
        for _ in 0..ATTEMPTS {
            let ids: Vec<NounId> = batch.items.iter().map(|(_, noun)| noun.id.clone()).collect();
            let mut there = db.get_many(&ids).await?.into_iter().map(|noun| noun.is_some());
            batch.items.retain(|_| !there.next().unwrap_or(false));
            if batch.items.is_empty() {
                tally.skipped = tally.lines;
                return Ok(tally);
            }
            let left = batch.items.len() as u64;
            let transaction = batch.items.iter().fold(db.transaction(), |all, (_, noun)| all.put_if_absent(noun.clone()));
            match commit(transaction, &batch, tally).await {
                Ok(written) => return Ok(Tally { skipped: batch.lines - left, ..written }),
                Err(Error::Conflict { .. }) => tally.conflicts += 1,
                Err(error) => return Err(name(&batch, error)),
            }
            // Somebody else made one of them since we looked: look at everything that is acknowledged by now.
            db = db.with_freshness(Freshness::Latest);
        }
        let reason = format!("others made items of this batch {ATTEMPTS} times while it was being written");
        let line = batch.items.first().map_or(0, |(line, _)| *line);
        Err(Failure::Line { file: batch.file, line, reason, kind: ErrorKind::Conflict })
    }
}

impl Write for VerbDraft {
    async fn write(writer: &Writer<'_>, batch: Batch<Self>) -> Result<Tally, Failure> {
        let transaction = batch.items.iter().fold(writer.db.transaction(), |all, (_, verb)| match &writer.missing {
            Some(kind) => all.relate_creating(verb.clone(), kind.clone()),
            None => all.relate(verb.clone()),
        });
        let tally = Tally { lines: batch.lines, ..Tally::default() };
        commit(transaction, &batch, tally).await.map_err(|error| name(&batch, error))
    }
}

async fn commit<T>(transaction: TransactionBuilder, batch: &Batch<T>, tally: Tally) -> Result<Tally, Error> {
    let receipt = transaction.commit().await?;
    // Where the log no longer tells how many, every item counts as changed.
    let changed = receipt.changed.map_or(batch.items.len() as u64, u64::from);
    Ok(Tally { changed, commits: 1, ..tally })
}

/// `error` with the line of the operation that it is about.
fn name<T>(batch: &Batch<T>, error: Error) -> Failure {
    match &error {
        Error::Conflict { operation, .. } => match batch.items.get(*operation as usize) {
            Some((line, _)) => Failure::Line { file: batch.file.clone(), line: *line, reason: error.to_string(), kind: error.kind() },
            None => error.into(),
        },
        _ => error.into(),
    }
}
