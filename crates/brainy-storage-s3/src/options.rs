//! Where the bucket is and how it is talked to.

use std::time::Duration;

use brainy_core::ErrorKind;
use brainy_storage::{Operation, StoreError};
use object_store::aws::AmazonS3ConfigKey;
use object_store::path::Path;
use url::{Host, Url};

/// Longest prefix inside a bucket, in bytes: with [`MAX_KEY_BYTES`](brainy_storage::MAX_KEY_BYTES) it stays below S3's 1,024.
const MAX_PREFIX_BYTES: usize = 500;

/// Variables that name the credentials of the machine or container, handed on as they are.
const AMBIENT: [(&str, AmazonS3ConfigKey); 9] = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
    ("AWS_METADATA_ENDPOINT", AmazonS3ConfigKey::MetadataEndpoint),
    ("AWS_IMDSV1_FALLBACK", AmazonS3ConfigKey::ImdsV1Fallback),
];

/// A long-lived or session access key. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) session_token: Option<String>,
}

impl AccessKey {
    /// A key of two parts.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into(), session_token: None }
    }

    /// With the token of the session that the key belongs to.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessKey(redacted)")
    }
}

/// How a bucket is reached. From a URL, from the `AWS_*` variables, or from code; what is set first wins over variables.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Options {
    /// The bucket. It is never made or deleted by the store.
    pub bucket: String,
    /// Folder inside the bucket, without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
    /// Server that is not AWS, `http://host:port` or `https://…`. None: AWS in `region`.
    pub endpoint: Option<String>,
    /// Region; none is `us-east-1`.
    pub region: Option<String>,
    /// Access key; none asks the machine: web identity, container, instance metadata.
    pub access_key: Option<AccessKey>,
    /// Whether the bucket is named in the path, not in the host. None: in the path if there is an endpoint or the bucket's name has dots.
    pub path_style: Option<bool>,
    /// Allows an `http://` endpoint that is not on this machine: everything but the signature travels in clear.
    pub allow_http: bool,
    /// Key that the server encrypts new objects under (SSE-KMS). It costs the server one KMS request an object unless the bucket has a bucket key.
    pub sse_kms_key_id: Option<String>,
    /// Sends ETags without their quotes in conditional writes, as Ceph before 17 wants them.
    pub unquoted_etags: bool,
    /// Longest silence of the server in a coordination request (conditional writes, whole reads, listings, deletes). Shorter notices a dead server
    /// sooner; longer leaves fewer writes in doubt. Default: [`Self::REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// Longest time to reach the server. Default: [`Self::CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// Longest silence in a bulk request (unconditional writes, ranged reads, deletes of many), the sending of the body included.
    /// Default: [`Self::BULK_TIMEOUT`].
    pub bulk_timeout: Duration,
    ambient: Vec<(AmazonS3ConfigKey, String)>,
}

impl S3Options {
    /// Default of [`request_timeout`](Self::request_timeout).
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
    /// Default of [`connect_timeout`](Self::connect_timeout).
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    /// Default of [`bulk_timeout`](Self::bulk_timeout).
    pub const BULK_TIMEOUT: Duration = Duration::from_secs(60);

    /// A whole bucket on AWS, with the machine's credentials.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            endpoint: None,
            region: None,
            access_key: None,
            path_style: None,
            allow_http: false,
            sse_kms_key_id: None,
            unquoted_etags: false,
            request_timeout: Self::REQUEST_TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            bulk_timeout: Self::BULK_TIMEOUT,
            ambient: Vec::new(),
        }
    }

    /// `s3://bucket/prefix`, with what is not default behind a question mark:
    /// `endpoint`, `region`, `path_style`, `allow_http`, `sse_kms_key_id`, `unquoted_etags`. Credentials have no place in a URL.
    ///
    /// # Errors
    /// Kind `Invalid`, naming the part that is wrong; the message never repeats the URL, which may hold a secret by mistake.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let url = Url::parse(url).map_err(|error| invalid("url", error.to_string()))?;
        if url.scheme() != "s3" {
            return Err(invalid("url", "it does not begin with s3://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("url", "it holds credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"));
        }
        if url.port().is_some() || url.fragment().is_some() {
            return Err(invalid("url", "it is not of the form s3://bucket/prefix"));
        }
        let mut options = Self::new(url.host_str().unwrap_or_default());
        options.prefix = url.path().trim_matches('/').to_owned();
        for (name, value) in url.query_pairs() {
            let flag = || match &*value {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(invalid(&name, "it is neither true nor false")),
            };
            match &*name {
                "endpoint" => options.endpoint = Some(value.into_owned()),
                "region" => options.region = Some(value.into_owned()),
                "path_style" => options.path_style = Some(flag()?),
                "allow_http" => options.allow_http = flag()?,
                "sse_kms_key_id" => options.sse_kms_key_id = Some(value.into_owned()),
                "unquoted_etags" => options.unquoted_etags = flag()?,
                _ => return Err(invalid("url", "its query holds a parameter that is not known")),
            }
        }
        options.validate()?;
        Ok(options)
    }

    /// Takes what is not set from the process's `AWS_*` variables: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_DEFAULT_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_ALLOW_HTTP`, `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`,
    /// and those that name the credentials of a container or a web identity.
    ///
    /// # Errors
    /// Kind `Invalid`: half of an access key, or a result that does not [`validate`](Self::validate).
    pub fn with_environment(self) -> Result<Self, StoreError> {
        self.with_variables(|name| std::env::var(name).ok())
    }

    /// [`with_environment`](Self::with_environment) with variables from elsewhere. Empty ones count as not set.
    ///
    /// # Errors
    /// As [`with_environment`](Self::with_environment).
    pub fn with_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let first = |names: [&str; 2]| names.into_iter().find_map(variable);
        let is_true = |name: &str| variable(name).map(|value| value.eq_ignore_ascii_case("true") || value == "1");
        self.endpoint = self.endpoint.or_else(|| first(["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
        self.region = self.region.or_else(|| first(["AWS_REGION", "AWS_DEFAULT_REGION"]));
        self.allow_http |= is_true("AWS_ALLOW_HTTP").unwrap_or(false);
        self.path_style = self.path_style.or_else(|| is_true("AWS_VIRTUAL_HOSTED_STYLE_REQUEST").map(|virtual_hosted| !virtual_hosted));
        if self.access_key.is_none() {
            self.access_key = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
                (Some(id), Some(secret)) => Some(AccessKey { id, secret, session_token: variable("AWS_SESSION_TOKEN") }),
                (None, None) => None,
                (Some(_), None) => return Err(invalid("AWS_SECRET_ACCESS_KEY", "it is not set, while AWS_ACCESS_KEY_ID is")),
                (None, Some(_)) => return Err(invalid("AWS_ACCESS_KEY_ID", "it is not set, while AWS_SECRET_ACCESS_KEY is")),
            };
        }
        self.ambient = AMBIENT.into_iter().filter_map(|(name, key)| variable(name).map(|value| (key, value))).collect();
        self.validate()?;
        Ok(self)
    }

    /// With another [`prefix`](Self::prefix).
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// With an [`endpoint`](Self::endpoint).
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// With a [`region`](Self::region).
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// With an [`access_key`](Self::access_key).
    #[must_use]
    pub fn with_access_key(mut self, access_key: AccessKey) -> Self {
        self.access_key = Some(access_key);
        self
    }

    /// With another [`path_style`](Self::path_style).
    #[must_use]
    pub fn with_path_style(mut self, path_style: bool) -> Self {
        self.path_style = Some(path_style);
        self
    }

    /// With another [`allow_http`](Self::allow_http).
    #[must_use]
    pub fn with_allow_http(mut self, allow_http: bool) -> Self {
        self.allow_http = allow_http;
        self
    }

    /// With a [`sse_kms_key_id`](Self::sse_kms_key_id).
    #[must_use]
    pub fn with_sse_kms_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.sse_kms_key_id = Some(key_id.into());
        self
    }

    /// With another [`unquoted_etags`](Self::unquoted_etags).
    #[must_use]
    pub fn with_unquoted_etags(mut self, unquoted_etags: bool) -> Self {
        self.unquoted_etags = unquoted_etags;
        self
    }

    /// With another [`request_timeout`](Self::request_timeout).
    #[must_use]
    pub fn with_request_timeout(mut self, request_timeout: Duration) -> Self {
        self.request_timeout = request_timeout;
        self
    }

    /// With another [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn with_connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// With another [`bulk_timeout`](Self::bulk_timeout).
    #[must_use]
    pub fn with_bulk_timeout(mut self, bulk_timeout: Duration) -> Self {
        self.bulk_timeout = bulk_timeout;
        self
    }

    /// Whether a store can be opened with these options; no request is made.
    ///
    /// # Errors
    /// Kind `Invalid`, or `Unsupported` for a directory bucket, naming the field.
    pub fn validate(&self) -> Result<(), StoreError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !(3..=255).contains(&self.bucket.len()) || !self.bucket.bytes().all(allowed) {
            return Err(invalid("bucket", "a bucket's name has 3 to 255 letters, digits, dots, hyphens and underscores"));
        }
        if self.bucket.ends_with("--x-s3") {
            let reason = "bucket: directory buckets (S3 Express) list without order, which the change log cannot use";
            return Err(StoreError::new(ErrorKind::Unsupported, Operation::Open, "the S3 options", reason));
        }
        if self.prefix.len() > MAX_PREFIX_BYTES {
            return Err(invalid("prefix", format!("it has more than {MAX_PREFIX_BYTES} bytes")));
        }
        if !Path::parse(&self.prefix).is_ok_and(|path| path.as_ref() == self.prefix) {
            return Err(invalid(
                "prefix",
                "it has an empty, `.` or `..` segment, a slash at an end, or a character that S3 keys should not have",
            ));
        }
        for (name, timeout) in
            [("request_timeout", self.request_timeout), ("connect_timeout", self.connect_timeout), ("bulk_timeout", self.bulk_timeout)]
        {
            if timeout.is_zero() {
                return Err(invalid(name, "it is zero"));
            }
        }
        if let Some(region) = &self.region
            && (region.is_empty() || !region.bytes().all(allowed))
        {
            return Err(invalid("region", "a region has letters, digits and hyphens"));
        }
        self.bucket_url().map(drop)
    }

    /// Where the bucket answers.
    pub(crate) fn bucket_url(&self) -> Result<Url, StoreError> {
        let parse = |text: &str| Url::parse(text).map_err(|error| invalid("endpoint", error.to_string()));
        let path_style = self.path_style.unwrap_or(self.endpoint.is_some() || self.bucket.contains('.'));
        let mut url = match &self.endpoint {
            Some(endpoint) => parse(endpoint)?,
            None => {
                let region = self.region_name();
                let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                parse(&format!("https://s3.{region}.{domain}"))?
            }
        };
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(invalid("endpoint", "it names no host")),
        };
        match url.scheme() {
            "https" => {}
            "http" if local || self.allow_http => {}
            "http" => return Err(invalid("endpoint", "plain http to another machine needs allow_http (AWS_ALLOW_HTTP=true)")),
            _ => return Err(invalid("endpoint", "it begins with neither https:// nor http://")),
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("endpoint", "it has a user, a password, a query or a fragment"));
        }
        if path_style {
            let path = format!("{}/{}", url.path().trim_end_matches('/'), self.bucket);
            url.set_path(&path);
        } else {
            let host = format!("{}.{}", self.bucket, url.host_str().unwrap_or_default());
            url.set_host(Some(&host)).map_err(|_| invalid("path_style", "the bucket's name does not fit into the endpoint's host name"))?;
        }
        Ok(url)
    }

    pub(crate) fn region_name(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }

    pub(crate) fn ambient(&self) -> &[(AmazonS3ConfigKey, String)] {
        &self.ambient
    }

    /// The URL of the store, without credentials.
    pub(crate) fn location(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        let endpoint = self.endpoint.as_ref().map(|endpoint| format!("?endpoint={endpoint}")).unwrap_or_default();
        format!("s3://{}{slash}{}{endpoint}", self.bucket, self.prefix)
    }
}

/// Shows neither the access key nor where credentials come from.
impl std::fmt::Debug for S3Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Options")
            .field("location", &self.location())
            .field("region", &self.region_name())
            .field("path_style", &self.path_style)
            .field("allow_http", &self.allow_http)
            .field("sse_kms", &self.sse_kms_key_id.is_some())
            .field("unquoted_etags", &self.unquoted_etags)
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("bulk_timeout", &self.bulk_timeout)
            .finish_non_exhaustive()
    }
}

fn invalid(field: &str, reason: impl std::fmt::Display) -> StoreError {
    StoreError::new(ErrorKind::Invalid, Operation::Open, "the S3 options", format!("{field}: {reason}"))
}

#[cfg(test)]
mod tests;
