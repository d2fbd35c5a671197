//! The server that the environment names, through both clients.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::ProvideErrorMetadata;
use brainy_core::{Nonce, OsEntropy};
use brainy_storage::Key;
use brainy_storage_s3::{AccessKey, S3Options, S3Store};

pub(crate) struct Server {
    /// What people call it: `minio`, `ministack` …
    pub(crate) label: String,
    pub(crate) bucket: String,
    /// Folder that only this test uses.
    pub(crate) prefix: String,
    pub(crate) sdk: Client,
    endpoint: String,
    id: String,
    secret: String,
    region: String,
}

fn variable(name: &str) -> String {
    let value = std::env::var(name).unwrap_or_default();
    assert!(
        !value.is_empty(),
        "{name} is not set: the endpoint tests need a running S3 server; `cargo xtask test-s3 --server builtin` starts one"
    );
    value
}

impl Server {
    /// # Panics
    /// The environment names no server, or the server does not let the bucket be made.
    pub(crate) async fn new() -> Self {
        let endpoint = variable("BRAINY_TEST_S3_ENDPOINT");
        let (id, secret) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
        let or = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let region = or("AWS_REGION", "us-east-1");
        // Plain HTTP only: the server is beside the tests, and a second TLS library is not worth its build.
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(Credentials::new(&id, &secret, None, None, "test"))
            .region(Region::new(region.clone()))
            .endpoint_url(&endpoint)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let server = Self {
            label: or("BRAINY_TEST_S3_SERVER", "other"),
            bucket: or("BRAINY_TEST_S3_BUCKET", "brainy-test"),
            prefix: format!("endpoint/{}", Nonce::random(&OsEntropy)),
            sdk: Client::from_conf(config),
            endpoint,
            id,
            secret,
            region,
        };
        server.make_bucket().await;
        server
    }

    async fn make_bucket(&self) {
        if let Err(error) = self.sdk.create_bucket().bucket(&self.bucket).send().await {
            let there = ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"];
            let code = error.code().map(str::to_owned);
            assert!(code.as_deref().is_some_and(|code| there.contains(&code)), "the bucket cannot be made: {:?}", error.into_source());
        }
    }

    pub(crate) fn options(&self) -> S3Options {
        S3Options::new(&self.bucket)
            .with_prefix(&self.prefix)
            .with_endpoint(&self.endpoint)
            .with_region(&self.region)
            .with_allow_http(true)
            .with_access_key(AccessKey::new(&self.id, &self.secret))
            .with_request_timeout(std::time::Duration::from_secs(30))
    }

    pub(crate) fn wrong_secret(&self) -> S3Options {
        self.options().with_access_key(AccessKey::new(&self.id, "not-the-secret-of-anybody"))
    }

    pub(crate) fn store(&self) -> Arc<S3Store> {
        Arc::new(S3Store::open(self.options()).expect("the options are right"))
    }

    /// The name under which the second client finds `key`.
    pub(crate) fn name(&self, key: &Key) -> String {
        format!("{}/{key}", self.prefix)
    }

    /// Says that a test cannot say anything about this server.
    pub(crate) fn not_run(&self, why: &str) {
        println!("NOT RUN: {}: {why}", self.label);
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).expect("the test's own key")
}
