//! A simulated S3 at HTTP level, under the real client: its requests are signed, repeated and parsed as in production, and only TCP is not there.
//!
//! What becomes of a request is the [`Wire`]'s business, as it is for the fast store: same bucket, same faults, same virtual time. Here HTTP is made of it and back.

mod request;
mod response;
mod signature;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brainy_storage::Store;
use brainy_storage_s3::object_store::client::{HttpClient, HttpError, HttpRequest, HttpResponse, HttpService};
use brainy_storage_s3::simulation::{REPETITION, Simulated, VirtualTime};
use brainy_storage_s3::{AccessKey, S3Options};
use http_body_util::BodyExt;

use crate::run::Connect;
use crate::scheduler::{Actor, ProcessId, Scheduler};
use crate::wire::{Reply, Wire};

pub(crate) use request::Asked;

/// The bucket's name.
const BUCKET: &str = "bucket";
/// The store lies in this folder of it.
const PREFIX: &str = "services/store";
const ENDPOINT: &str = "http://sims3.localhost";
const ACCESS_KEY: &str = "SIMULATED";
const SECRET_KEY: &str = "known to both";
/// The longest silence that bulk clients stand: a run does not last as long as their default is.
const BULK_TIMEOUT: Duration = Duration::from_secs(10);
/// Sleeps end at whole milliseconds.
const ROUNDED: Duration = Duration::from_millis(2);

/// One client's connections to the simulated S3.
#[derive(Clone, Debug)]
pub struct SimS3 {
    wire: Wire,
    process: ProcessId,
    time: VirtualTime,
    /// The client's own patience. `object_store` leaves it to its transport.
    silence: Duration,
}

impl SimS3 {
    /// The store of one life of `process`, over connections of its own.
    ///
    /// # Panics
    /// The system gives no tokio runtime.
    pub fn store(wire: &Wire, process: ProcessId) -> Arc<dyn Store> {
        let time = VirtualTime::new().expect("a runtime without threads and I/O needs nothing of the system");
        let options = S3Options::new(BUCKET)
            .with_prefix(PREFIX)
            .with_endpoint(ENDPOINT)
            .with_access_key(AccessKey::new(ACCESS_KEY, SECRET_KEY))
            .with_request_timeout(wire.client_timeout())
            .with_bulk_timeout(BULK_TIMEOUT);
        let (wire, clock) = (wire.clone(), time.clone());
        let transport = move |silence| HttpClient::new(Self { wire: wire.clone(), process, time: clock.clone(), silence });
        Arc::new(Simulated::new(options, time, transport).expect("these options are allowed"))
    }
}

/// The simulated S3 for every process.
pub fn http() -> Connect {
    Arc::new(SimS3::store)
}

#[async_trait]
impl HttpService for SimS3 {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if let Err(refusal) = signature::check(&parts, &body) {
            return Ok(response::refusal(403, "SignatureDoesNotMatch", &refusal));
        }
        let asked = match Asked::understand(&parts, body) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(response::refusal(501, "NotImplemented", &refusal)),
        };
        let delivered = self.wire.send_within(self.process, asked.request.clone(), self.silence).await;
        if !matches!(delivered.reply, Reply::Response(_)) {
            // The client may sleep over it now, and nobody but us lets its time go on.
            let scheduler = self.wire.scheduler();
            self.time.advance_to(scheduler.now());
            let tick = Tick { time: self.time.clone(), scheduler: scheduler.clone() };
            scheduler.fire_after(REPETITION + ROUNDED, Arc::new(tick), 0);
        }
        response::of(&asked, delivered)
    }
}

/// Lets a client's time catch up with the world's.
struct Tick {
    time: VirtualTime,
    scheduler: Scheduler,
}

impl Actor for Tick {
    fn fire(&self, _: u64) {
        self.time.advance_to(self.scheduler.now());
    }
}
