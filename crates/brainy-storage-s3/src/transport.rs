//! The HTTP client below `object_store`: HTTP/1.1 over TCP or rustls, one request a call, never repeated here.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService};
use tokio::time::{Sleep, sleep, timeout};

/// How long an unused connection is kept. Servers close theirs after 5 s and more; a request sent into a closing one is lost.
const IDLE: Duration = Duration::from_secs(4);
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connections to a server. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<TcpConnector>, HttpRequestBody>,
    silence: Duration,
}

impl Transport {
    /// `silence`: the longest time without a byte from the server. Certificates are checked against the system's roots.
    ///
    /// # Errors
    /// The system's roots cannot be read; says why. Without TLS (`secure` false) that does not matter.
    pub(crate) fn new(secure: bool, connect_timeout: Duration, silence: Duration) -> Result<Self, String> {
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
        Ok(Self { client, silence })
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match timeout(self.silence, self.client.request(request)).await {
            Ok(Ok(reply)) => {
                let (parts, body) = reply.into_parts();
                let timed = Timed { body, silence: self.silence, sleep: Box::pin(sleep(self.silence)) };
                Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(timed)))
            }
            Ok(Err(error)) if error.is_connect() => Err(HttpError::new(HttpErrorKind::Connect, error)),
            // Not `Request`, which would claim that nothing was sent.
            Ok(Err(error)) => Err(HttpError::new(HttpErrorKind::Interrupted, error)),
            Err(_) => Err(silent(&format!("no reply in {:?}", self.silence))),
        }
    }
}

fn silent(text: &str) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, std::io::Error::other(text))
}

/// A reply's body that ends with an error when the server falls silent.
struct Timed {
    body: Incoming,
    silence: Duration,
    sleep: Pin<Box<Sleep>>,
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
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Interrupted, error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if self.sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(silent(&format!("no byte of the reply in {:?}", self.silence)))))
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
