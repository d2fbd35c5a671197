//! What the tests share: an endpoint with a bucket, and stores in it.

use std::sync::Arc;
use std::time::Duration;

use brainy_storage::{Get, GetOptions, Key, Outcome, Precondition, Revision, Store};
use brainy_storage_s3::{AccessKey, S3Options, S3Store};
use brainy_testkit::s3_endpoint::{ACCESS_KEY, FaultRule, HttpFault, Mode, S3Endpoint, SECRET_KEY};
use bytes::Bytes;

pub(crate) const BUCKET: &str = "things";
/// Long enough for a busy machine, short enough for the tests that wait for it.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) struct World {
    pub(crate) endpoint: S3Endpoint,
    pub(crate) store: Arc<S3Store>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_mode(Mode::Exact)
    }

    pub(crate) fn with_mode(mode: Mode) -> Self {
        let endpoint = S3Endpoint::start(mode);
        endpoint.make_bucket(BUCKET);
        let store = Arc::new(S3Store::open(options(&endpoint)).expect("the options are right"));
        Self { endpoint, store }
    }

    /// The same with a coordination timeout that a test can wait for.
    pub(crate) fn impatient() -> Self {
        let mut world = Self::new();
        world.store = Arc::new(
            S3Store::open(options(&world.endpoint).with_request_timeout(TIMEOUT).with_bulk_timeout(TIMEOUT))
                .expect("the options are right"),
        );
        world
    }

    pub(crate) fn fault(&self, method: &str, fault: HttpFault) {
        self.endpoint.add_fault(FaultRule::new(fault).method(method));
    }

    /// The stored bytes, past the client.
    pub(crate) fn stored(&self, name: &str) -> Option<Bytes> {
        self.endpoint.object(BUCKET, &format!("prefix/{name}"))
    }

    pub(crate) async fn create(&self, name: &str, body: &'static str) -> Said {
        Said::of(self.store.put(&key(name), Bytes::from_static(body.as_bytes()), Precondition::IfAbsent).await)
    }

    pub(crate) async fn update(&self, name: &str, body: &'static str, revision: &Revision) -> Said {
        Said::of(self.store.put(&key(name), Bytes::from_static(body.as_bytes()), Precondition::IfMatch(revision.clone())).await)
    }

    pub(crate) async fn revision(&self, name: &str) -> Revision {
        match self.store.get(&key(name), GetOptions::whole()).await.expect("the endpoint answers").value {
            Get::Found(object) => object.revision,
            other => panic!("{other:?}"),
        }
    }
}

/// How a put ended, for comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Committed,
    Rejected,
    Unknown(String),
    Failed(String),
}

impl Said {
    pub(crate) fn of(result: brainy_storage::StoreResult<Outcome>) -> Self {
        match result {
            Ok(answer) => match answer.value {
                Outcome::Committed(_) => Self::Committed,
                Outcome::Rejected => Self::Rejected,
                Outcome::Unknown(error) => Self::Unknown(error.to_string()),
            },
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

pub(crate) fn options(endpoint: &S3Endpoint) -> S3Options {
    S3Options::new(BUCKET)
        .with_prefix("prefix")
        .with_endpoint(endpoint.url())
        .with_access_key(AccessKey::new(ACCESS_KEY, SECRET_KEY))
        .with_request_timeout(Duration::from_secs(30))
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).expect("the test's own key")
}
