//! The two clients of one bucket.

use std::time::Duration;

use brainy_core::ErrorKind;
use brainy_storage::{Operation, StoreError};
use http::uri::Authority;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::client::HttpClient;
use object_store::{BackoffConfig, RetryConfig};

use crate::S3Options;
use crate::noted::Noted;
use crate::transport::Transport;

/// How often a bulk request is repeated.
const BULK_RETRIES: usize = 5;
/// After how long no further repetition begins.
const BULK_RETRY_TIME: Duration = Duration::from_secs(120);

/// Clients that differ in patience.
#[derive(Debug)]
pub(crate) struct Clients {
    /// Sends each request once: whoever asked decides about a repetition, since only they can tell their own write from a rival's.
    pub(crate) coordination: AmazonS3,
    /// Repeats what fails: equal bytes under a name of one writer's own, reads and deletes may be sent twice.
    pub(crate) bulk: AmazonS3,
}

impl Clients {
    pub(crate) fn new(options: &S3Options) -> Result<Self, StoreError> {
        options.validate()?;
        let secure = options.bucket_url()?.scheme() == "https";
        let transport = |silence| {
            let transport = Transport::new(secure, options.connect_timeout, silence);
            transport
                .map(HttpClient::new)
                .map_err(|reason| StoreError::new(ErrorKind::Unavailable, Operation::Open, options.location(), reason))
        };
        Self::over(options, transport, BackoffConfig::default())
    }

    /// The clients over transports that give up after so long a silence.
    pub(crate) fn over(
        options: &S3Options,
        transport: impl Fn(Duration) -> Result<HttpClient, StoreError>,
        backoff: BackoffConfig,
    ) -> Result<Self, StoreError> {
        options.validate()?;
        let once = RetryConfig { max_retries: 0, retry_timeout: options.request_timeout, ..RetryConfig::default() };
        let patient = RetryConfig { max_retries: BULK_RETRIES, retry_timeout: BULK_RETRY_TIME, backoff };
        Ok(Self {
            coordination: client(options, transport(options.request_timeout)?, once, true)?,
            bulk: client(options, transport(options.bulk_timeout)?, patient, false)?,
        })
    }
}

fn client(options: &S3Options, transport: HttpClient, retry: RetryConfig, single_deletes: bool) -> Result<AmazonS3, StoreError> {
    let failed = |kind, reason: String| StoreError::new(kind, Operation::Open, options.location(), reason);
    let url = options.bucket_url()?;
    let authority: Authority = url.authority().parse().map_err(|_| failed(ErrorKind::Invalid, "endpoint: it names no host".to_owned()))?;
    let mut builder = AmazonS3Builder::new();
    for (key, value) in options.ambient() {
        builder = builder.with_config(*key, value);
    }
    // The address holds the bucket already, in its host or in its path; `object_store` takes it as it is only so.
    builder = builder
        .with_bucket_name(&options.bucket)
        .with_region(options.region_name())
        .with_virtual_hosted_style_request(true)
        .with_endpoint(url.as_str().trim_end_matches('/'))
        .with_allow_http(true)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(single_deletes)
        .with_retry(retry);
    if let Some(key) = &options.access_key {
        builder = builder.with_access_key_id(&key.id).with_secret_access_key(&key.secret);
        if let Some(token) = &key.session_token {
            builder = builder.with_token(token);
        }
    }
    if let Some(key_id) = &options.sse_kms_key_id {
        builder = builder.with_sse_kms_encryption(key_id);
    }
    // `object_store`'s own message may repeat what it was given.
    builder
        .with_http_connector(Noted::new(transport, authority))
        .build()
        .map_err(|_| failed(ErrorKind::Invalid, "the S3 options do not make a client".to_owned()))
}
