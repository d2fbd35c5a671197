//! What lies between `object_store` and the transport: everything seen is written down, nothing is repeated.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Authority;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService};

use crate::note::{Ending, Note, error_code, store_time};

/// Longest error body that is read; S3's have some hundred bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A transport whose replies are written down.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    transport: HttpClient,
    /// Only replies from here are written down: requests for credentials go elsewhere.
    store: Authority,
}

impl Noted {
    pub(crate) const fn new(transport: HttpClient, store: Authority) -> Self {
        Self { transport, store }
    }
}

impl HttpConnector for Noted {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Noted {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let note = Note::current().filter(|_| request.uri().authority() == Some(&self.store));
        let writer = note.clone();
        let write = move |ending, at| {
            if let Some(note) = &writer {
                note.write(ending, at);
            }
        };
        let reply = match self.transport.execute(request).await {
            Ok(reply) => reply,
            Err(error) => {
                let sent = error.kind() != HttpErrorKind::Connect;
                write(if sent { Ending::Lost(text(&error)) } else { Ending::NotSent(text(&error)) }, None);
                return Err(error);
            }
        };
        let (parts, body) = reply.into_parts();
        let at = store_time(&parts.headers);
        let status = parts.status;
        let region = parts.headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok()).map(str::to_owned);
        // Written before the body is read: the status has decided, whatever becomes of the body.
        write(Ending::Reply { status, code: None, region: region.clone() }, at);
        if status.is_success() {
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(NotedBody { body, note })));
        }
        // A lost error body takes nothing from the status, so its loss is not written down.
        let body = Limited::new(NotedBody { body, note: None }, MAX_ERROR_BYTES).collect().await;
        let body = body.map(|whole| whole.to_bytes()).unwrap_or_default();
        write(Ending::Reply { status, code: error_code(&body), region }, at);
        let body = Full::new(body).map_err(|never| match never {});
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// What was wrong with the transport and what caused it, in one line.
fn text(error: &HttpError) -> String {
    let Some(mut cause) = error.source() else { return error.to_string() };
    let mut text = cause.to_string();
    while let Some(next) = cause.source() {
        text = format!("{text}: {next}");
        cause = next;
    }
    text
}

/// A reply's body whose loss is written down.
struct NotedBody {
    body: HttpResponseBody,
    note: Option<Note>,
}

impl Body for NotedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Err(error))), Some(note)) = (&polled, &self.note) {
            note.write(Ending::Lost(text(error)), None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
