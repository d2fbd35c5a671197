//! Exact counts, with or without the store in memory.

use brainy_coordination::{Environment, Token, find_tail, read_descriptor};
use brainy_core::{Epoch, Metric, SequenceNumber, Statistics, StoreId};
use brainy_engine::decode_counters;

use crate::background;
use crate::error::Error;
use crate::handle::Brainy;
use crate::location::Location;
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
    /// The exact counts of one state, as fresh as the handle's reads.
    ///
    /// # Errors
    /// The handle's freshness could not be reached.
    pub async fn statistics(&self) -> Result<Report, Error> {
        self.fresh().await?;
        let (token, statistics) = self.log().at_rest(|engine| engine.statistics()).await?;
        Ok(Report { statistics, token })
    }

    /// The counts of the store at `url` without loading it: the newest slot is found by its number (at most 2·log₂ n + 3 small reads), and its header has them.
    ///
    /// # Errors
    /// Kind `NotFound`: there is no store; `Corrupt`, `Unavailable`: it cannot be read.
    pub async fn peek(url: &str) -> Result<Peek, Error> {
        let environment = Environment::new(Location::parse(url)?.open(false, true, true)?);
        let runtime = background::runtime()?;
        let deadline = environment.clock.now().after(Builder::DEADLINE);
        let peeked = runtime.spawn(async move {
            let descriptor = read_descriptor(&environment, deadline).await?;
            let first = SequenceNumber::new(descriptor.first_seq).unwrap_or(SequenceNumber::FIRST);
            let tail = find_tail(&environment, first, deadline).await?;
            let mut statistics = Statistics::default();
            let mut token = None;
            if let Some(tail) = &tail {
                let stated = tail.header.summary.as_ref();
                let stated = stated.ok_or_else(|| Error::invalid("newest slot", "its header states no counts: open the store for them"))?;
                statistics = decode_counters(&stated.counters).map_err(|error| Error::invalid("newest slot", error))?;
                token = Some(Token { store: descriptor.store, epoch: Epoch::FIRST, seq: tail.header.seq.get(), hash: tail.hash });
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
        });
        let result = peeked.await;
        runtime.shutdown_background();
        result.map_err(|error| Error::Closed { cause: error.to_string() })?
    }
}
