//! What came of a request, as the HTTP reply that S3 would give.

use std::fmt::Write as _;
use std::io::ErrorKind;

use brainy_storage::{Page, StoreTime};
use brainy_storage_s3::object_store::client::{HttpError, HttpErrorKind, HttpResponse, HttpResponseBody};
use bytes::Bytes;
use chrono::DateTime;
use futures_util::stream;
use http::{Response, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::{Asked, BUCKET, PREFIX};
use crate::bucket::{self, Request};
use crate::wire::{Delivered, Reply};

/// A reply before it is bytes.
struct Plain {
    status: u16,
    headers: Vec<(header::HeaderName, String)>,
    body: Bytes,
}

impl Plain {
    fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The reply; `whole` false: the connection breaks in the middle of its body.
    fn build(self, date: Option<StoreTime>, whole: bool) -> HttpResponse {
        let mut reply = Response::builder().status(self.status).header(header::CONTENT_LENGTH, self.body.len());
        for (name, value) in self.headers {
            reply = reply.header(name, value);
        }
        if let Some(date) = date {
            reply = reply.header(header::DATE, http_date(date));
        }
        let body = if whole {
            HttpResponseBody::new(Full::new(self.body).map_err(|never| match never {}))
        } else {
            let half = self.body.slice(..self.body.len() / 2);
            let frames = [Ok(Frame::data(half)), Err(broken("the body was cut off"))];
            HttpResponseBody::new(StreamBody::new(stream::iter(frames)))
        };
        reply.body(body).expect("its parts are text without line breaks")
    }
}

/// The time as a `Date` header says it.
fn http_date(at: StoreTime) -> String {
    let ms = i64::try_from(at.as_ms()).expect("a time of this age");
    DateTime::from_timestamp_millis(ms).expect("a time of this age").format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn broken(text: &str) -> HttpError {
    HttpError::new(HttpErrorKind::Interrupted, std::io::Error::new(ErrorKind::ConnectionReset, text))
}

fn error(status: u16, code: &str, message: &str) -> Plain {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>0</RequestId></Error>"
    );
    Plain::new(status, body).with(header::CONTENT_TYPE, "application/xml")
}

/// A reply to what was never sent on to the bucket.
pub(super) fn refusal(status: u16, code: &str, why: &str) -> HttpResponse {
    error(status, code, &why.replace(['<', '>', '&'], "?")).build(None, true)
}

/// The reply to `asked`.
///
/// # Errors
/// There is none.
pub(super) fn of(asked: &Asked, delivered: Delivered) -> Result<HttpResponse, HttpError> {
    let Delivered { reply, date } = delivered;
    match reply {
        Reply::Response(response) => Ok(plain(asked, response).build(date, true)),
        Reply::Truncated(response) => {
            let plain = plain(asked, response);
            // Without a body it is its headers that are cut off.
            if plain.body.len() < 2 {
                Err(broken("the connection was closed before the message was complete"))
            } else {
                Ok(plain.build(date, false))
            }
        }
        // S3 begins its replies to long requests before it knows how they end.
        Reply::InternalError if asked.several => {
            Ok(error(200, "InternalError", "We encountered an internal error. Please try again.").build(date, true))
        }
        Reply::InternalError => Ok(error(500, "InternalError", "We encountered an internal error. Please try again.").build(date, true)),
        Reply::SlowDown => Ok(error(503, "SlowDown", "Please reduce your request rate.").build(date, true)),
        Reply::Conflict => {
            let message = "The conditional request cannot succeed due to a conflicting operation against this resource.";
            Ok(error(409, "ConditionalRequestConflict", message).build(date, true))
        }
        Reply::Reset => Err(broken("connection reset by peer")),
        Reply::NoReply => Err(HttpError::new(HttpErrorKind::Timeout, std::io::Error::new(ErrorKind::TimedOut, "no reply in time"))),
    }
}

fn plain(asked: &Asked, response: bucket::Response) -> Plain {
    match response {
        bucket::Response::Found(object) => {
            let from = match &asked.request {
                Request::Get { range: Some(range), .. } => Some(range.start),
                _ => None,
            };
            let (status, end) = (if from.is_some() { 206 } else { 200 }, from.unwrap_or(0) + object.bytes.len() as u64);
            let mut reply =
                Plain::new(status, object.bytes).with(header::ETAG, object.revision.as_str()).with(header::ACCEPT_RANGES, "bytes");
            if let Some(from) = from {
                reply = reply.with(header::CONTENT_RANGE, format!("bytes {from}-{}/{}", end - 1, object.size));
            }
            reply
        }
        bucket::Response::NotModified => {
            let mut reply = Plain::new(304, Bytes::new());
            if let Request::Get { if_changed_from: Some(revision), .. } = &asked.request {
                reply = reply.with(header::ETAG, revision.as_str());
            }
            reply
        }
        bucket::Response::Absent => error(404, "NoSuchKey", "The specified key does not exist."),
        bucket::Response::OutOfRange => error(416, "InvalidRange", "The requested range is not satisfiable"),
        bucket::Response::Written(revision) => Plain::new(200, Bytes::new()).with(header::ETAG, revision.as_str()),
        bucket::Response::Refused => error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"),
        bucket::Response::Listed(page) => listing(&page),
        bucket::Response::Deleted if asked.several => deleted(&asked.request),
        bucket::Response::Deleted => Plain::new(204, Bytes::new()),
    }
}

fn listing(page: &Page) -> Plain {
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{BUCKET}</Name>\
         <KeyCount>{}</KeyCount><IsTruncated>{}</IsTruncated>",
        page.entries.len(),
        page.more
    );
    for entry in &page.entries {
        let (key, size) = (&entry.key, entry.size);
        let line = write!(
            body,
            "<Contents><Key>{PREFIX}/{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>{size}</Size>\
             <StorageClass>STANDARD</StorageClass></Contents>"
        );
        line.expect("writing to a String cannot fail");
    }
    if let (true, Some(last)) = (page.more, page.entries.last()) {
        let line = write!(body, "<NextContinuationToken>{PREFIX}/{}</NextContinuationToken>", last.key);
        line.expect("writing to a String cannot fail");
    }
    body.push_str("</ListBucketResult>");
    Plain::new(200, body).with(header::CONTENT_TYPE, "application/xml")
}

fn deleted(request: &Request) -> Plain {
    let mut body =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    if let Request::Delete { keys } = request {
        for key in keys {
            let line = write!(body, "<Deleted><Key>{PREFIX}/{key}</Key></Deleted>");
            line.expect("writing to a String cannot fail");
        }
    }
    body.push_str("</DeleteResult>");
    Plain::new(200, body).with(header::CONTENT_TYPE, "application/xml")
}
