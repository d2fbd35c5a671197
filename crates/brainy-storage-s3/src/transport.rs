//! The HTTP client below `object_store`: HTTP/1.1 over TCP or rustls, one request a call, never repeated here, everything seen written down.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Authority;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::{Sleep, sleep, timeout};

use crate::note::{Ending, Note, error_code, store_time};

/// Longest error body that is read; S3's have some hundred bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long an unused connection is kept. Servers close theirs after 5 s and more; a request sent into a closing one is lost.
const IDLE: Duration = Duration::from_secs(4);
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Makes the clients that `object_store` asks for; all of them share connections.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<TcpConnector>, HttpRequestBody>,
    silence: Duration,
    /// Only replies from here are written down: requests for credentials go elsewhere.
    store: Authority,
}

impl Transport {
    /// `silence`: the longest time without a byte from the server. Certificates are checked against the system's roots.
    ///
    /// # Errors
    /// The system's roots cannot be read; says why. Without TLS (`secure` false) that does not matter.
    pub(crate) fn new(store: Authority, secure: bool, connect_timeout: Duration, silence: Duration) -> Result<Self, String> {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_connect_timeout(Some(connect_timeout));
        // Named here, so that no provider of the process is asked for or installed.
        let provider = rustls::crypto::ring::default_provider;
        let builder = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider()) {
            Ok(builder) => builder,
            Err(error) if secure => return Err(format!("the system's root certificates cannot be read: {error}")),
            Err(_) => {
                let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider()))
                    .with_safe_default_protocol_versions()
                    .map_err(|error| error.to_string())?
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(config)
            }
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector);
        Ok(Self { client, silence, store })
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let note = Note::current().filter(|_| request.uri().authority() == Some(&self.store));
        let writer = note.clone();
        let write = move |ending, at| {
            if let Some(note) = &writer {
                note.write(ending, at);
            }
        };
        let reply = match timeout(self.silence, self.client.request(request)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                let text = chain(&error);
                if error.is_connect() {
                    write(Ending::NotSent(text), None);
                    return Err(HttpError::new(HttpErrorKind::Connect, error));
                }
                write(Ending::Lost(text), None);
                // Not `Request`, which would claim that nothing was sent.
                return Err(HttpError::new(HttpErrorKind::Interrupted, error));
            }
            Err(elapsed) => {
                write(Ending::Lost(format!("no reply in {:?}", self.silence)), None);
                return Err(HttpError::new(HttpErrorKind::Timeout, elapsed));
            }
        };
        let (parts, body) = reply.into_parts();
        let at = store_time(&parts.headers);
        let status = parts.status;
        let region = parts.headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok()).map(str::to_owned);
        // Written before the body is read: the status has decided, whatever becomes of the body.
        write(Ending::Reply { status, code: None, region: region.clone() }, at);
        let timed = |note| Timed { body, silence: self.silence, sleep: Box::pin(sleep(self.silence)), note };
        if status.is_success() {
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(timed(note))));
        }
        // A lost error body takes nothing from the status, so its loss is not written down.
        let body = timed(None);
        let body = Limited::new(body, MAX_ERROR_BYTES).collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
        write(Ending::Reply { status, code: error_code(&body), region }, at);
        let body = Full::new(body).map_err(|never| match never {});
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// An error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A reply's body that ends with an error when the server falls silent.
struct Timed {
    body: Incoming,
    silence: Duration,
    sleep: Pin<Box<Sleep>>,
    note: Option<Note>,
}

impl Timed {
    fn lost(&self, text: String) {
        if let Some(note) = &self.note {
            note.write(Ending::Lost(text), None);
        }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.sleep = Box::pin(sleep(self.silence));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.lost(chain(&error));
                Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Interrupted, error))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if self.sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                let text = format!("no byte of the reply in {:?}", self.silence);
                self.lost(text.clone());
                Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, std::io::Error::other(text)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
