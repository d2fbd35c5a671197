//! What really happened on the wire during one call.
//!
//! `object_store` folds statuses into its own errors (a 409 becomes "already exists", a reply's `Date` is lost), so the transport writes down what it
//! saw, and the verdict is read from here. The note lies in a task-local that is entered on each poll of the call's future: `object_store` polls its
//! requests inside that future, so two calls never write into one note.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use brainy_storage::StoreTime;
use chrono::DateTime;
use http::header::DATE;
use http::{HeaderMap, StatusCode};

tokio::task_local! {
    static NOTE: Note;
}

/// How the newest request of a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a reply, whole or of which only the body was lost.
    Reply {
        /// Its true status.
        status: StatusCode,
        /// The error code in its body, such as `NoSuchKey`.
        code: Option<String>,
        /// The region that the server says the bucket is in.
        region: Option<String>,
    },
    /// Without a whole reply, after the request may have been sent. Says why.
    Lost(String),
    /// The request never left: no connection. Says why.
    NotSent(String),
}

/// All that is known about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How the newest request ended; none was made without one.
    pub(crate) ending: Option<Ending>,
    /// A request of this call may have taken effect although its reply does not say so.
    pub(crate) in_doubt: bool,
    /// The server's time on its newest reply.
    pub(crate) at: Option<StoreTime>,
}

impl Seen {
    /// Status of the newest reply, if the newest request had one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match &self.ending {
            Some(Ending::Reply { status, .. }) => Some(*status),
            _ => None,
        }
    }

    /// Error code of the newest reply.
    pub(crate) fn code(&self) -> Option<&str> {
        match &self.ending {
            Some(Ending::Reply { code, .. }) => code.as_deref(),
            _ => None,
        }
    }
}

/// Where the transport writes and the store reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note(Arc<Mutex<Seen>>);

impl Note {
    /// `call`'s output and what was seen on the wire during it.
    pub(crate) async fn during<F: Future>(call: F) -> (F::Output, Seen) {
        let note = Self::default();
        let output = NOTE.scope(note.clone(), call).await;
        let seen = note.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (output, seen)
    }

    /// The note of the call that is being polled.
    pub(crate) fn current() -> Option<Self> {
        NOTE.try_with(Clone::clone).ok()
    }

    /// Writes how a request ended.
    pub(crate) fn write(&self, ending: Ending, at: Option<StoreTime>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.in_doubt |= match &ending {
            Ending::Reply { status, .. } => leaves_doubt(*status),
            Ending::Lost(_) => true,
            Ending::NotSent(_) => false,
        };
        seen.at = at.or(seen.at);
        seen.ending = Some(ending);
    }
}

/// Whether a write answered so may have taken effect: servers answer 5xx after a commit too, and 409 says only that somebody else was at it.
fn leaves_doubt(status: StatusCode) -> bool {
    let undecided = [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
    undecided.contains(&status) || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// The server's time in a reply's `Date`, which has whole seconds.
pub(crate) fn store_time(headers: &HeaderMap) -> Option<StoreTime> {
    let date = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    u64::try_from(date.timestamp_millis()).ok().map(StoreTime::from_ms)
}

/// The error code in an S3 error body. Nothing else is taken from it: such bodies repeat access keys and signed strings.
pub(crate) fn error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    plain.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16) -> Ending {
        Ending::Reply { status: StatusCode::from_u16(status).unwrap(), code: None, region: None }
    }

    #[test]
    fn a_write_stays_in_doubt_once_any_of_its_requests_may_have_landed() {
        for (endings, in_doubt) in [
            (vec![reply(200)], false),
            (vec![reply(412)], false),
            (vec![reply(403)], false),
            (vec![reply(501)], false),
            (vec![Ending::NotSent(String::new())], false),
            (vec![reply(409)], true),
            (vec![reply(429)], true),
            (vec![reply(500)], true),
            (vec![reply(503), reply(200)], true),
            (vec![Ending::Lost(String::new()), Ending::NotSent(String::new())], true),
        ] {
            let note = Note::default();
            for ending in endings.clone() {
                note.write(ending, None);
            }
            assert_eq!(note.0.lock().unwrap().in_doubt, in_doubt, "{endings:?}");
        }
    }

    #[test]
    fn a_date_becomes_the_store_time_and_nonsense_does_not() {
        for (date, ms) in
            [("Thu, 01 Jan 1970 00:00:07 GMT", Some(7000)), ("Wed, 21 Oct 2015 07:28:00 GMT", Some(1_445_412_480_000)), ("yesterday", None)]
        {
            let headers = HeaderMap::from_iter([(DATE, date.parse().unwrap())]);
            assert_eq!(store_time(&headers).map(StoreTime::as_ms), ms, "{date}");
        }
    }

    #[test]
    fn only_a_plain_code_is_taken_from_an_error_body() {
        for (body, code) in [
            ("<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", Some("NoSuchKey")),
            ("<Error><Code>No Such</Code></Error>", None),
            ("<Error><Code></Code></Error>", None),
            ("<Error><Code>x", None),
            ("", None),
        ] {
            assert_eq!(error_code(body.as_bytes()).as_deref(), code, "{body}");
        }
    }
}
