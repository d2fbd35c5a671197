//! What holds a manifest beyond the newest: pins, which live as long as their readers renew them, and tags, which live until somebody removes them.
//!
//! Both change by compare-and-swap. A pin is held until an *ended* mark takes its place: whoever renews it afterwards is refused, so that no clock decides whether it
//! is held. A pin's name is used once; a tag that was removed stays as its mark, since a late delete would take a new one of the same name away.

use std::time::Duration;

use brainy_core::codec::{self, CodecError, FieldWriter, Fields, ObjectKind};
use brainy_core::{Entropy, Moment, Nonce, StoreId};
use brainy_storage::{Created, Get, GetOptions, Key, Object, Revision, Swapped};
use bytes::Bytes;

use crate::cas::{Marks, standing};
use crate::environment::Environment;
use crate::error::Error;
use crate::garbage::{ManifestName, is_held};
use crate::head;
use crate::keys;
use crate::lease::decide::believed_for;
use crate::log::ChangeLog;
use crate::machine::StateMachine;
use crate::mutants::broken;
use crate::protocol::{self, MAX_REASON_BYTES, is_name};

const STORE: u16 = 1;
const MANIFEST: u16 = 2;
const TTL_MS: u16 = 3;
const NOTE: u16 = 4;
const NONCE: u16 = 5;
const BEFORE: u16 = 6;
const KNOWN: [u16; 6] = [STORE, MANIFEST, TTL_MS, NOTE, NONCE, BEFORE];

/// Shortest and longest time to live of a pin.
const TTLS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3_600));
/// So many manifests at most are found collected under the hands of who wants to hold one.
const MOST_TRIES: usize = 8;
/// So often at most a tag is written again because somebody else wrote it at the same time.
const MOST_SWAPS: usize = 16;

/// The body of a pin or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) store: StoreId,
    /// What is held; none: it ended.
    pub(crate) manifest: Option<ManifestName>,
    /// How long a pin lives unrenewed.
    pub(crate) ttl: Option<Duration>,
    /// For people.
    pub(crate) note: String,
    pub(crate) marks: Marks,
    unknown: Vec<(u16, Vec<u8>)>,
}

impl Hold {
    pub(crate) fn new(store: StoreId, manifest: ManifestName, ttl: Option<Duration>, note: String, entropy: &dyn Entropy) -> Self {
        Self { store, manifest: Some(manifest), ttl, note, marks: Marks::first(entropy), unknown: Vec::new() }
    }

    /// The body that follows it.
    pub(crate) fn next(&self, manifest: Option<ManifestName>, entropy: &dyn Entropy) -> Self {
        Self { manifest, marks: self.marks.next(entropy), ..self.clone() }
    }

    pub(crate) fn encode(&self, kind: ObjectKind) -> Bytes {
        let mut fields = FieldWriter::new();
        fields.required(STORE, self.store.as_bytes());
        if let Some(manifest) = &self.manifest {
            fields.required(MANIFEST, &codec::encode(keys::manifest(manifest).as_str()));
        }
        if let Some(ttl) = self.ttl {
            fields.required(TTL_MS, &codec::encode(&u64::try_from(ttl.as_millis()).expect("options and decoding bound it")));
        }
        fields.optional(NOTE, &codec::encode(&self.note));
        self.marks.write(&mut fields, NONCE, BEFORE);
        fields.kept(&self.unknown);
        codec::seal(kind, &fields.finish()).into()
    }

    /// # Errors
    /// [`CodecError`]: no such body, or one of a newer build.
    pub(crate) fn decode(kind: ObjectKind, bytes: &[u8]) -> Result<Self, CodecError> {
        let what = if kind == ObjectKind::Pin { "pin" } else { "tag" };
        let fields = Fields::parse(what, &KNOWN, codec::open(kind, what, bytes)?)?;
        let corrupt = |reason: &str| CodecError::corrupt(what, reason);
        let manifest = fields.optional_value::<String>(MANIFEST)?;
        let manifest = manifest.map(|text| keys::manifest_name(&text).ok_or_else(|| corrupt("it names no manifest"))).transpose()?;
        let ttl = fields.optional_value(TTL_MS)?.map(Duration::from_millis);
        if ttl.is_some() != (kind == ObjectKind::Pin) || ttl.is_some_and(|ttl| !(TTLS.0..=TTLS.1).contains(&ttl)) {
            return Err(corrupt("its time to live"));
        }
        let note: String = fields.optional_value(NOTE)?.unwrap_or_default();
        if note.len() > MAX_REASON_BYTES {
            return Err(corrupt("its note is too long"));
        }
        let store = StoreId::from_bytes(protocol::identity(&fields, STORE)?);
        Ok(Self { store, manifest, ttl, note, marks: Marks::read(what, &fields, NONCE, BEFORE)?, unknown: fields.unknown(&KNOWN) })
    }

    /// The body in `object`, which must be of `store`.
    pub(crate) fn of(kind: ObjectKind, store: StoreId, key: &Key, object: &Object) -> Result<Self, Error> {
        let hold = Self::decode(kind, &object.bytes).map_err(|error| Error::bytes(key, error))?;
        if hold.store != store {
            return Err(Error::ForeignObject { key: key.to_string(), found: hold.store, expected: store });
        }
        Ok(hold)
    }
}

/// Overwrites a pin or a tag.
pub(crate) async fn swap(
    environment: &Environment,
    kind: ObjectKind,
    key: &Key,
    body: &Hold,
    expected: Revision,
    deadline: Moment,
) -> Result<Swapped, Error> {
    let standing = standing(move |bytes| Hold::decode(kind, bytes).ok().map(|hold| hold.marks), body.marks.nonce);
    Ok(environment.swap(key, body.encode(kind), expected, &standing, deadline).await?)
}

fn check_note(note: &str) -> Result<(), Error> {
    if note.len() > MAX_REASON_BYTES {
        return Err(Error::Option { field: "note", reason: format!("{} bytes, at most {MAX_REASON_BYTES} are allowed", note.len()) });
    }
    Ok(())
}

/// A reader's hold on a published state: while it is held, nothing that the state consists of is deleted.
///
/// It lives for its ttl unless it is [renewed](Self::renew), about every third of it. One that is dropped without [`release`](Self::release) ends by itself: a collector that has seen it
/// unchanged for a little longer than its ttl puts an end to it.
#[derive(Debug)]
pub struct Pin {
    environment: Environment,
    key: Key,
    body: Hold,
    manifest: ManifestName,
    revision: Revision,
    ttl: Duration,
    believed_until: Moment,
}

impl Pin {
    /// What it holds.
    pub const fn manifest(&self) -> ManifestName {
        self.manifest
    }

    /// The position of the state that it holds.
    pub const fn seq(&self) -> u64 {
        self.manifest.seq
    }

    /// Its key in the store.
    pub fn key(&self) -> String {
        self.key.to_string()
    }

    /// Whether it can be relied on without asking the store: it was taken or renewed less than its ttl ago. One for which this says no may still be held: renewing tells.
    pub fn is_young(&self) -> bool {
        self.environment.clock.now() < self.believed_until
    }

    /// Makes it live for its ttl again. One PUT.
    ///
    /// # Errors
    /// [`Error::NotHeld`]: a collector ended it because it was not renewed in time: what it held may be gone, take another; any other error: it may be renewed
    /// or not, renewing again tells.
    pub async fn renew(&mut self, deadline: Moment) -> Result<(), Error> {
        let sent = self.environment.clock.now();
        let body = self.body.next(self.body.manifest, &*self.environment.entropy);
        match swap(&self.environment, ObjectKind::Pin, &self.key, &body, self.revision.clone(), deadline).await? {
            Swapped::Committed(revision) => {
                self.body = body;
                self.revision = revision;
                self.believed_until = sent.after(believed_for(self.ttl));
                Ok(())
            }
            // Whoever wrote it was not this reader, and others only ever end it.
            Swapped::Superseded | Swapped::Rejected => Err(self.look(deadline).await),
            Swapped::Unknown(error) => {
                // A renewal that was lost may have taken effect: from what is there the next one goes on.
                match self.look(deadline).await {
                    Error::NotHeld { key, reason } => Err(Error::NotHeld { key, reason }),
                    _ => Err(error.into()),
                }
            }
        }
    }

    /// Takes the present body over if this reader wrote it, and says what is wrong.
    async fn look(&mut self, deadline: Moment) -> Error {
        let gone = |reason| Error::NotHeld { key: self.key.to_string(), reason };
        let found = match self.environment.read(&self.key, GetOptions::whole(), deadline).await {
            Ok(found) => found.value,
            Err(error) => return error.into(),
        };
        let Get::Found(object) = found else { return gone("a collector ended it and removed it") };
        match Hold::of(ObjectKind::Pin, self.body.store, &self.key, &object) {
            Ok(hold) if hold.manifest.is_none() => gone("a collector ended it"),
            Ok(hold) => {
                (self.body, self.revision) = (hold, object.revision);
                Error::Contended { doing: "renewing a pin, whose last renewal is not known to have happened" }
            }
            Err(error) => error,
        }
    }

    /// Ends it. Two requests.
    ///
    /// # Errors
    /// [`Error`]: it ends by itself, a little later than its ttl.
    pub async fn release(self, deadline: Moment) -> Result<(), Error> {
        // Nobody renews it any more and its name is not used again: no mark is needed.
        self.environment.delete(std::slice::from_ref(&self.key), deadline).await?;
        Ok(())
    }
}

/// A tag as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub manifest: ManifestName,
    /// Words for people.
    pub note: String,
}

/// A pin as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinRecord {
    /// Its key.
    pub key: String,
    /// What it holds.
    pub manifest: ManifestName,
    /// How long it lives unrenewed.
    pub ttl: Duration,
    /// Words for people.
    pub note: String,
}

impl<M: StateMachine> ChangeLog<M> {
    /// Holds the newest published state for a reader: what it consists of stays while the pin is renewed. Three requests.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]: none was published; [`Error::Option`]: a ttl outside 100 ms to 24 h or a note that is too long; any other error: what was written of the pin ends by itself.
    pub async fn pin(&self, note: &str, ttl: Duration, deadline: Moment) -> Result<Pin, Error> {
        check_note(note)?;
        if !(TTLS.0..=TTLS.1).contains(&ttl) {
            return Err(Error::Option { field: "ttl", reason: format!("{ttl:?}, {:?} to {:?} are allowed", TTLS.0, TTLS.1) });
        }
        let (environment, store) = (self.environment(), self.descriptor().store);
        for _ in 0..MOST_TRIES {
            let manifest = self.newest_manifest(deadline).await?;
            let key = keys::pin(Nonce::random(&*environment.entropy));
            let body = Hold::new(store, manifest, Some(ttl), note.to_owned(), &*environment.entropy);
            let sent = environment.clock.now();
            let revision = match environment.create(&key, body.encode(ObjectKind::Pin), deadline).await?.value {
                Created::Committed(revision) => revision,
                // A name of chance that is taken: another one.
                Created::Rejected(_) => continue,
                Created::Unknown(error) => return Err(error.into()),
            };
            let believed_until = sent.after(believed_for(ttl));
            let pin = Pin { environment: environment.clone(), key, body, manifest, revision, ttl, believed_until };
            // INV-27: a boundary, read after the pin was written, that is not above the manifest: no collector that did not see the pin deletes it.
            let boundary = head::read_head(environment, store, deadline).await?.head.boundary;
            if (is_held(boundary, &manifest) && pin.is_young()) || broken!(UnverifiedPin) {
                return Ok(pin);
            }
            drop(pin.release(deadline).await);
        }
        Err(Error::Contended { doing: "pinning a state, which was collected each time" })
    }

    /// The pins that are there, in no order that means anything. One listing, and one GET for each.
    ///
    /// # Errors
    /// [`Error`]: the store cannot be read.
    pub async fn pins(&self, deadline: Moment) -> Result<Vec<PinRecord>, Error> {
        let held = list(self.environment(), self.descriptor().store, ObjectKind::Pin, deadline).await?;
        let records = held.into_iter().filter_map(|(key, hold, _)| {
            Some(PinRecord { key: key.to_string(), manifest: hold.manifest?, ttl: hold.ttl?, note: hold.note })
        });
        Ok(records.collect())
    }

    /// Names the newest published state `name`, so that it is kept until the tag is moved or [removed](Self::untag). A tag of that name is moved.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]: none was published; [`Error::Option`]: no name (`[a-z0-9_-]{1,64}`) or a note that is too long; any other error: it may be written or not, tagging again is safe.
    pub async fn tag(&self, name: &str, note: &str, deadline: Moment) -> Result<Tag, Error> {
        check_note(note)?;
        let (environment, store, key) = (self.environment(), self.descriptor().store, tag_key(name)?);
        for _ in 0..MOST_TRIES {
            let manifest = self.newest_manifest(deadline).await?;
            self.write_tag(&key, Some(manifest), note, deadline).await?;
            // INV-27: as for a pin.
            let boundary = head::read_head(environment, store, deadline).await?.head.boundary;
            if is_held(boundary, &manifest) || broken!(UnverifiedPin) {
                return Ok(Tag { name: name.to_owned(), manifest, note: note.to_owned() });
            }
        }
        Err(Error::Contended { doing: "tagging a state, which was collected each time; the tag may stand and name one that is gone" })
    }

    /// Removes a tag; what it named may be collected. One that is not there is no fault.
    ///
    /// # Errors
    /// [`Error::Option`]: no name; any other error: it may be removed or not, asking again is safe.
    pub async fn untag(&self, name: &str, deadline: Moment) -> Result<(), Error> {
        self.write_tag(&tag_key(name)?, None, "", deadline).await
    }

    /// The tags that are there, in the order of their names. One listing, and one GET for each that ever was.
    ///
    /// # Errors
    /// [`Error`]: the store cannot be read.
    pub async fn tags(&self, deadline: Moment) -> Result<Vec<Tag>, Error> {
        let held = list(self.environment(), self.descriptor().store, ObjectKind::Tag, deadline).await?;
        let tags = held.into_iter().filter_map(|(key, hold, _)| {
            let name = key.as_str().strip_prefix("tag/")?.to_owned();
            Some(Tag { name, manifest: hold.manifest?, note: hold.note })
        });
        Ok(tags.collect())
    }

    async fn newest_manifest(&self, deadline: Moment) -> Result<ManifestName, Error> {
        let seen = head::read_head(self.environment(), self.descriptor().store, deadline).await?;
        seen.head.manifest.ok_or_else(|| Error::NoSnapshot { location: self.environment().store.location() })
    }

    async fn write_tag(&self, key: &Key, manifest: Option<ManifestName>, note: &str, deadline: Moment) -> Result<(), Error> {
        let (environment, store) = (self.environment(), self.descriptor().store);
        for _ in 0..MOST_SWAPS {
            let Get::Found(object) = environment.read(key, GetOptions::whole(), deadline).await?.value else {
                let Some(manifest) = manifest else { return Ok(()) };
                let body = Hold::new(store, manifest, None, note.to_owned(), &*environment.entropy);
                match environment.create(key, body.encode(ObjectKind::Tag), deadline).await?.value {
                    Created::Committed(_) => return Ok(()),
                    Created::Rejected(_) => continue,
                    Created::Unknown(error) => return Err(error.into()),
                }
            };
            let there = Hold::of(ObjectKind::Tag, store, key, &object)?;
            if there.manifest == manifest && there.note == note {
                return Ok(());
            }
            let mut body = there.next(manifest, &*environment.entropy);
            note.clone_into(&mut body.note);
            match swap(environment, ObjectKind::Tag, key, &body, object.revision, deadline).await? {
                Swapped::Committed(_) | Swapped::Superseded => return Ok(()),
                Swapped::Rejected => {}
                Swapped::Unknown(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended { doing: "writing a tag, which others write at the same time" })
    }
}

fn tag_key(name: &str) -> Result<Key, Error> {
    if is_name(name) {
        Ok(keys::tag(name))
    } else {
        let shown: String = name.chars().take(protocol::MAX_NAME_BYTES).collect();
        Err(Error::Option { field: "tag", reason: format!("{shown:?} is no name: 1 to 64 of a–z, 0–9, _ and - are") })
    }
}

/// Every pin or tag of `store`, those that ended too.
pub(crate) async fn list(
    environment: &Environment,
    store: StoreId,
    kind: ObjectKind,
    deadline: Moment,
) -> Result<Vec<(Key, Hold, Revision)>, Error> {
    let folder = if kind == ObjectKind::Pin { keys::pins() } else { keys::tags() };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = environment.list(&folder, after.as_ref(), crate::collector::PAGE, deadline).await?.value;
        for entry in &page.entries {
            // One that went between the listing and now is gone; nobody wrote it since, names of pins are not used again and tags stay.
            let Get::Found(object) = environment.read(&entry.key, GetOptions::whole(), deadline).await?.value else { continue };
            found.push((entry.key.clone(), Hold::of(kind, store, &entry.key, &object)?, object.revision));
        }
        match page.entries.last() {
            Some(last) if page.more => after = Some(last.key.clone()),
            _ => return Ok(found),
        }
    }
}
