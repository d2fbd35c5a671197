//! Exact counts, with or without the store in memory.

use brainy_coordination::{Environment, Token, find_tail, read_descriptor};
use brainy_core::{CodecError, Metric, Moment, SequenceNumber, Statistics, StoreId};
use brainy_engine::Engine;
use brainy_engine::decode_counters;

use crate::background::OwnRuntime;
use crate::error::Error;
use crate::handle::Brainy;
use crate::options::Builder;

/// Exact counts and the position they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The counts.
    pub statistics: Statistics,
    /// The position.
    pub token: Token,
}

/// What a store says about itself without being loaded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Peek {
    /// Its identity.
    pub store: StoreId,
    /// Components of every noun's vector.
    pub dimension: usize,
    /// How far apart vectors are.
    pub metric: Metric,
    /// Slots of its log.
    pub slots: u64,
    /// The newest position; none while the log is empty.
    pub token: Option<Token>,
    /// The counts as the newest slot states them.
    pub statistics: Statistics,
}

impl Brainy {
    /// The exact counts of one state, as fresh as the handle's reads: kept with every write, so nothing is counted and nothing but the freshness costs a
    /// request.
    ///
    /// # Errors
    /// The handle's freshness could not be reached.
    pub async fn statistics(&self) -> Result<Report, Error> {
        self.fresh().await?;
        let (token, statistics) = self.in_time(|log| async move { log.at_rest(Engine::statistics).await }).await?;
        Ok(Report { statistics, token })
    }

    /// The counts of the store at `url` without loading it: `brainy.json` is read, then the newest slot is found by its number (at most 2·log₂ n + 3 small
    /// reads of n slots, no listing), and its header has them.
    ///
    /// # Errors
    /// Kind `NotFound`: there is no store; `Corrupt`, `Unavailable`: it cannot be read.
    pub async fn peek(url: &str) -> Result<Peek, Error> {
        Self::builder(url).peek().await
    }
}

impl Builder {
    /// [`Brainy::peek`] within this builder's deadline and, where one is given, on its own store. Nothing is written and nothing stays open.
    ///
    /// # Errors
    /// As [`Brainy::peek`].
    pub async fn peek(self) -> Result<Peek, Error> {
        let (environment, deadline) = self.peeking()?;
        let runtime = OwnRuntime::start()?;
        let peeked = runtime.spawn(async move { peek(&environment, deadline).await });
        peeked.await.map_err(|error| Error::Closed { cause: error.to_string() })?
    }
}

async fn peek(environment: &Environment, deadline: Moment) -> Result<Peek, Error> {
    let descriptor = read_descriptor(environment, deadline).await?;
    let first = SequenceNumber::new(descriptor.first_seq).unwrap_or(SequenceNumber::FIRST);
    let tail = find_tail(environment, first, deadline).await?;
    let mut statistics = Statistics::default();
    let mut token = None;
    if let Some(tail) = &tail {
        let header = &tail.header;
        let wrong = |error| brainy_coordination::Error::Bytes { key: format!("slot {}", header.seq), error };
        // Every slot of this version states its counts; one of another may leave that to a later one.
        let stated = header.summary.as_ref().ok_or_else(|| wrong(CodecError::corrupt("header", "it states no counts")))?;
        statistics = decode_counters(&stated.counters).map_err(wrong)?;
        token = Some(Token { store: descriptor.store, epoch: header.epoch, seq: header.seq.get(), hash: tail.hash });
    }
    let nouns = descriptor.nouns().ok_or_else(|| Error::invalid("store", "it has no vector space of nouns"))?;
    Ok(Peek {
        store: descriptor.store,
        dimension: nouns.dimension as usize,
        metric: nouns.metric,
        slots: tail.as_ref().map_or(0, |tail| tail.header.seq.get() + 1 - first.get()),
        token,
        statistics,
    })
}
