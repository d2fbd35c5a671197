//! The tests that need an S3 endpoint, and which endpoint they are given.

use std::process::{Command, Stdio};

use crate::cargo::{self, Executable};
use crate::server::Server;
use crate::summary::Summary;
use crate::{Result, builtin, machine, ministack};

/// The keys of the servers that this tool starts itself.
pub(crate) const OWN_KEYS: (&str, &str) = ("brainytest", "brainytest-secret");
/// The bucket that the tests make and the example uses, unless `BRAINY_TEST_S3_BUCKET` names another.
const BUCKET: &str = "brainy-test";
const REGION: &str = "us-east-1";

/// An S3 endpoint and the name it goes by in results.
#[derive(Debug)]
pub(crate) struct Endpoint<'a> {
    /// What it is: `minio`, `builtin`, `ministack`, or `other` for what the user brought.
    pub(crate) label: &'static str,
    pub(crate) url: &'a str,
    pub(crate) keys: Keys,
}

/// Where access keys come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keys {
    /// [`OWN_KEYS`].
    Own,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` as the user set them.
    Users,
}

/// The server that `test-s3 --server` names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Builtin,
    Ministack,
    Url(String),
}

impl Choice {
    pub(crate) fn parse(word: &str) -> Result<Self> {
        match word {
            "builtin" => Ok(Self::Builtin),
            "ministack" => Ok(Self::Ministack),
            url if url.starts_with("http://") || url.starts_with("https://") => Ok(Self::Url(url.to_owned())),
            other => Err(format!("`{other}` is no server: builtin, ministack, or a URL (http://…, https://…)").into()),
        }
    }

    pub(crate) fn run(&self, programs: &Programs) -> Result<Summary> {
        match self {
            Self::Builtin => builtin::run(programs),
            Self::Ministack => {
                let Some(python) = ministack::python() else {
                    return Err(ministack::NO_PYTHON.into());
                };
                ministack::run(&python, programs)
            }
            Self::Url(url) => check(&Endpoint { label: "other", url, keys: Keys::Users }, programs),
        }
    }
}

/// What runs against an endpoint, built once for all of them.
#[derive(Debug)]
pub(crate) struct Programs {
    storage_tests: Executable,
    facade_tests: Executable,
    pub(crate) example: Executable,
    pub(crate) builtin: Executable,
}

/// Builds the tests, the example and our own endpoint in the profile and with the features of `test`.
///
/// The whole workspace is named although four programs are wanted: with fewer packages cargo would
/// choose other features for the shared dependencies and build all of them a second time.
pub(crate) fn build() -> Result<Programs> {
    let features = "brainy/endpoint-tests,brainy-storage-s3/endpoint-tests,brainy-testkit/s3-endpoint";
    let built = cargo::executables(&[
        "--profile",
        "test",
        "--workspace",
        "--exclude",
        "xtask",
        "--features",
        features,
        "--test",
        "endpoint",
        "--example",
        "shared_services",
        "--bin",
        "s3-endpoint",
    ])?;
    let find = |package: &str, name: &str| {
        let found = built.iter().find(|made| made.name == name && made.package.ends_with(package));
        found.cloned().ok_or_else(|| format!("the build made no `{name}` of crate {package}"))
    };
    Ok(Programs {
        storage_tests: find("brainy-storage-s3", "endpoint")?,
        facade_tests: find("brainy", "endpoint")?,
        example: find("brainy", "shared_services")?,
        builtin: find("brainy-testkit", "s3-endpoint")?,
    })
}

/// Runs everything that needs an endpoint: the store's suite first (it makes the bucket), the facade's
/// multi-process tests, then the example with its own checks.
pub(crate) fn check(endpoint: &Endpoint<'_>, programs: &Programs) -> Result<Summary> {
    println!("S3 tests against {} at {}", endpoint.label, endpoint.url);
    let bucket = std::env::var("BRAINY_TEST_S3_BUCKET").unwrap_or_else(|_| BUCKET.to_owned());
    let (access, secret) = match endpoint.keys {
        Keys::Own => (OWN_KEYS.0.to_owned(), OWN_KEYS.1.to_owned()),
        Keys::Users => (users("AWS_ACCESS_KEY_ID")?, users("AWS_SECRET_ACCESS_KEY")?),
    };
    let region = std::env::var("AWS_REGION").unwrap_or_else(|_| REGION.to_owned());
    let mut env = vec![
        ("BRAINY_TEST_S3_ENDPOINT", endpoint.url),
        ("BRAINY_TEST_S3_SERVER", endpoint.label),
        ("BRAINY_TEST_S3_BUCKET", &bucket),
        ("AWS_ACCESS_KEY_ID", &access),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_REGION", &region),
        ("AWS_ENDPOINT_URL", endpoint.url),
        ("AWS_ALLOW_HTTP", if endpoint.url.starts_with("http://") { "true" } else { "false" }),
    ];
    if matches!(endpoint.keys, Keys::Own) {
        // What belongs to the user's own keys would not fit ours.
        env.extend([("AWS_SESSION_TOKEN", ""), ("AWS_PROFILE", "")]);
    }
    let mut summary = cargo::run_tests(&programs.storage_tests, &env)?;
    summary.add(cargo::run_tests(&programs.facade_tests, &env)?);
    let store = format!("s3://{bucket}/example-{}", machine::fresh_name());
    summary.add(run_example(&programs.example, &["--store", &store, "--services", "4"], &env)?);
    Ok(summary)
}

/// [`check`] against a server of ours, which is ended after it.
pub(crate) fn check_and_stop(label: &'static str, server: Server, programs: &Programs) -> Result<Summary> {
    let summary = check(&Endpoint { label, url: server.url(), keys: Keys::Own }, programs)?;
    if !summary.is_green() {
        println!("the end of {label}'s log:\n{}", server.last_words());
    }
    server.stop()?;
    Ok(summary)
}

/// Runs the example; it checks itself and counts as one.
pub(crate) fn run_example(example: &Executable, args: &[&str], env: &cargo::Env<'_>) -> Result<Summary> {
    let mut command = Command::new(&example.path);
    command.args(args).current_dir(machine::root()).stdin(Stdio::null());
    cargo::with_env(&mut command, env);
    cargo::echo(&command, env);
    Ok(Summary::of_one(command.status()?.success()))
}

fn users(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| format!("an endpoint of yours needs {name} in the environment").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_one_of_ours_or_a_url_and_nothing_else() {
        assert_eq!(Choice::parse("builtin").unwrap(), Choice::Builtin);
        assert_eq!(Choice::parse("ministack").unwrap(), Choice::Ministack);
        assert_eq!(Choice::parse("http://127.0.0.1:9").unwrap(), Choice::Url("http://127.0.0.1:9".to_owned()));
        for word in ["minio", "moto", "", "127.0.0.1:9000"] {
            let error = Choice::parse(word).unwrap_err().to_string();
            assert!(error.contains("builtin, ministack"), "{error}");
        }
    }
}
