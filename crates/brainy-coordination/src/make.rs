//! Making a store, and reading what one is.

use std::num::NonZeroUsize;

use brainy_core::{ContentHash, Moment, StoreId};
use brainy_storage::{Created, Get, GetOptions};

use crate::descriptor::{Constants, Descriptor, Space, Truncation};
use crate::environment::Environment;
use crate::error::Error;
use crate::head::Head;
use crate::keys;

/// What a new store is to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewStore {
    /// Its vector spaces.
    pub spaces: Vec<Space>,
    /// Who makes it; for people.
    pub created_by: String,
    /// The protocol's constants; none takes the defaults that fit the storage.
    pub constants: Option<Constants>,
}

impl NewStore {
    /// A store with these spaces and the defaults that fit its storage.
    pub fn new(spaces: Vec<Space>) -> Self {
        Self { spaces, created_by: concat!("brainy ", env!("CARGO_PKG_VERSION")).into(), constants: None }
    }

    /// With these constants.
    #[must_use]
    pub fn with_constants(mut self, constants: Constants) -> Self {
        self.constants = Some(constants);
        self
    }
}

/// A store's descriptor and the hash of its bytes, which the first slot names.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) descriptor: Descriptor,
    pub(crate) hash: ContentHash,
}

/// Makes the store: first `ctl/head` with a store id (who loses that race adopts its id), then `brainy.json`, which makes it a store
/// (who loses compares every field). Processes that make the same store at once all succeed.
///
/// # Errors
/// [`Error::Exists`]: it was a store before; [`Error::Different`]: another process made it at the same time, with other settings; [`Error::Option`]:
/// settings that cannot be, nothing was written; [`Error::Missing`]: slots lie here whose `brainy.json` is gone, nothing was written; [`Error::Store`]: it may be half made, and making it again completes it.
pub async fn create_store(environment: &Environment, new: &NewStore, deadline: Moment) -> Result<Descriptor, Error> {
    let location = || environment.store.location();
    let constants = new.constants.unwrap_or_else(|| {
        let capabilities = environment.store.capabilities();
        Constants::new(if capabilities.has_time { Truncation::Delete } else { Truncation::Tombstone })
    });
    let descriptor =
        |store: StoreId| Descriptor::new(store, new.created_by.clone(), environment.clock.wall_ms(), new.spaces.clone(), constants);
    let candidate = StoreId::random(&*environment.entropy);
    descriptor(candidate)?;
    if try_read_descriptor(environment, deadline).await?.is_some() {
        return Err(Error::Exists { location: location() });
    }
    // Slots without a descriptor are a damaged store, not an empty place; or somebody else made it just now.
    let slots = environment.list(&keys::log(), None, NonZeroUsize::MIN, deadline).await?.value;
    if !slots.entries.is_empty() && try_read_descriptor(environment, deadline).await?.is_none() {
        return Err(Error::Missing { key: keys::descriptor().to_string(), reason: "slots of a store lie beside it" });
    }
    let head = Head::new(candidate, &*environment.entropy);
    let store = match environment.create(&keys::head(), head.encode(), deadline).await?.value {
        Created::Committed(_) => candidate,
        Created::Rejected(found) => Head::decode(&found.bytes).map_err(|error| Error::bytes(keys::head(), error))?.store,
        Created::Unknown(error) => return Err(error.into()),
    };
    let wanted = descriptor(store)?;
    match environment.create(&keys::descriptor(), wanted.encode().into(), deadline).await?.value {
        Created::Committed(_) => Ok(wanted),
        Created::Rejected(found) => {
            let found = Descriptor::decode(&found.bytes).map_err(|error| Error::bytes(keys::descriptor(), error))?;
            found.compare(&wanted, &location())?;
            Ok(found)
        }
        Created::Unknown(error) => Err(error.into()),
    }
}

/// Whether the store that is there is the one that was asked for.
///
/// # Errors
/// [`Error::Different`], naming the first field that differs.
pub fn compare_store(found: &Descriptor, wanted: &NewStore, location: &str) -> Result<(), Error> {
    let constants = wanted.constants.unwrap_or(found.constants);
    let wanted = Descriptor::new(found.store, String::new(), 0, wanted.spaces.clone(), constants)?;
    found.compare(&wanted, location)
}

/// What the store is.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Bytes`], [`Error::Store`].
pub async fn read_descriptor(environment: &Environment, deadline: Moment) -> Result<Descriptor, Error> {
    Ok(read_known(environment, deadline).await?.descriptor)
}

pub(crate) async fn read_known(environment: &Environment, deadline: Moment) -> Result<Known, Error> {
    try_read_descriptor(environment, deadline).await?.ok_or_else(|| Error::NoStore { location: environment.store.location() })
}

async fn try_read_descriptor(environment: &Environment, deadline: Moment) -> Result<Option<Known>, Error> {
    match environment.read(&keys::descriptor(), GetOptions::whole(), deadline).await?.value {
        Get::Found(object) => {
            let descriptor = Descriptor::decode(&object.bytes).map_err(|error| Error::bytes(keys::descriptor(), error))?;
            Ok(Some(Known { descriptor, hash: ContentHash::of(&object.bytes) }))
        }
        Get::Absent | Get::NotModified => Ok(None),
    }
}
