//! HTTP requests as what they ask of the bucket.

use std::num::NonZeroUsize;
use std::ops::Range;

use brainy_storage::{Key, Precondition, Prefix, Revision};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, header};
use url::form_urlencoded;

use super::{BUCKET, PREFIX};
use crate::bucket::Request;

/// Most keys of one listing reply.
const PAGE: usize = 1_000;

/// What an HTTP request asks for, and in what form the reply is to come.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// It deletes several objects: the reply names them.
    pub(crate) several: bool,
}

impl Asked {
    /// # Errors
    /// It is nothing that this server does; says what.
    pub(crate) fn understand(parts: &Parts, body: Bytes) -> Result<Self, String> {
        let path = parts.uri.path();
        let inside =
            path.strip_prefix('/').and_then(|path| path.strip_prefix(BUCKET)).ok_or_else(|| format!("{path} is in no bucket here"))?;
        let query: Vec<_> = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let one = |request| Ok(Self { request, several: false });
        match (&parts.method, inside.strip_prefix('/').unwrap_or_default()) {
            (&Method::GET, "") => one(listing(&query)?),
            (&Method::POST, "") if query.iter().any(|(name, _)| name == "delete") => {
                Ok(Self { request: Request::Delete { keys: named(&body)? }, several: true })
            }
            (method, name) if query.is_empty() => {
                let key = key(name)?;
                match *method {
                    Method::GET => one(Request::Get {
                        key,
                        range: range(parts)?,
                        if_changed_from: text(parts, &header::IF_NONE_MATCH)?.map(Revision::new),
                    }),
                    Method::PUT => one(Request::Put { key, body, condition: condition(parts)? }),
                    Method::DELETE => one(Request::Delete { keys: vec![key] }),
                    _ => Err(format!("{method} {path}")),
                }
            }
            (method, _) => Err(format!("{method} {path} {query:?}")),
        }
    }
}

fn text<'a>(parts: &'a Parts, name: &header::HeaderName) -> Result<Option<&'a str>, String> {
    parts.headers.get(name).map(|value| value.to_str().map_err(|_| format!("{name} is no text"))).transpose()
}

fn key(name: &str) -> Result<Key, String> {
    let inside =
        name.strip_prefix(PREFIX).and_then(|name| name.strip_prefix('/')).ok_or_else(|| format!("{name} is not below {PREFIX}"))?;
    Key::new(inside).map_err(|error| error.to_string())
}

fn condition(parts: &Parts) -> Result<Precondition, String> {
    match (text(parts, &header::IF_NONE_MATCH)?, text(parts, &header::IF_MATCH)?) {
        (None, None) => Ok(Precondition::None),
        (Some("*"), None) => Ok(Precondition::IfAbsent),
        (None, Some(etag)) => Ok(Precondition::IfMatch(Revision::new(etag))),
        (absent, matching) => Err(format!("If-None-Match {absent:?} with If-Match {matching:?}")),
    }
}

fn range(parts: &Parts) -> Result<Option<Range<u64>>, String> {
    let Some(asked) = text(parts, &header::RANGE)? else { return Ok(None) };
    let ends = asked.strip_prefix("bytes=").and_then(|ends| ends.split_once('-'));
    let numbers = ends.and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?)));
    numbers.map(|(first, end)| Some(first..end)).ok_or_else(|| format!("the range {asked}"))
}

fn listing(query: &[(String, String)]) -> Result<Request, String> {
    let value = |name: &str| query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    if value("list-type") != Some("2") {
        return Err(format!("a listing of {query:?}"));
    }
    let known = ["list-type", "prefix", "start-after", "max-keys", "continuation-token", "encoding-type"];
    if let Some((name, _)) = query.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(format!("a listing with {name}"));
    }
    let below = value("prefix").and_then(|prefix| prefix.strip_prefix(PREFIX)).unwrap_or_default();
    let below = below.trim_matches('/');
    let prefix = if below.is_empty() { Prefix::root() } else { Prefix::new(below).map_err(|error| error.to_string())? };
    // A token is the key that was last.
    let after = value("continuation-token").or_else(|| value("start-after")).map(key).transpose()?;
    let limit = value("max-keys").map_or(Ok(PAGE), |text| text.parse().map_err(|_| format!("max-keys {text}")))?;
    let limit = NonZeroUsize::new(limit.min(PAGE)).ok_or("max-keys 0")?;
    Ok(Request::List { prefix, after, limit })
}

/// The keys that a bulk delete names.
fn named(body: &[u8]) -> Result<Vec<Key>, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    text.split("<Key>").skip(1).map(|rest| key(rest.split("</Key>").next().unwrap_or_default())).collect()
}
