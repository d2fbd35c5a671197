//! The socket side: accepts connections, lets requests meet their faults, hands them to s3s.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, DATE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::content::{Content, Mode, Service};
use super::fault::{FaultRule, HttpFault, meet};
use super::{ACCESS_KEY, Locked, Request, SECRET_KEY};

/// What the socket side and the handle share.
pub(crate) struct Shared {
    pub(crate) content: Arc<Content>,
    pub(crate) faults: Locked<Vec<FaultRule>>,
    pub(crate) requests: Locked<Vec<Request>>,
    pub(crate) date: Locked<Option<String>>,
}

impl Shared {
    pub(crate) fn new(mode: Mode) -> Self {
        Self { content: Arc::new(Content::new(mode)), faults: Locked::default(), requests: Locked::default(), date: Locked::default() }
    }
}

/// Shows how much there is, not what.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).len();
        write!(f, "Shared({requests} requests so far)")
    }
}

/// A connection that ends without an answer, on purpose or because the client has gone.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection ends here")
    }
}

impl std::error::Error for Cut {}

type Reply = Response<BoxBody<Bytes, Cut>>;

/// Serves until the handle's sender is gone.
pub(crate) async fn run(listener: std::net::TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let listener = TcpListener::from_std(listener).expect("a listener that does not block fits this runtime");
    let mut builder = S3ServiceBuilder::new(Service(Arc::clone(&shared.content)));
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    loop {
        let accepted = std::future::poll_fn(|context| {
            if Pin::new(&mut stopped).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            listener.poll_accept(context).map(Some)
        })
        .await;
        match accepted {
            None => return,
            // A connection that was gone before it was accepted is its client's affair.
            Some(Err(_)) => {}
            Some(Ok((stream, _))) => drop(tokio::spawn(connection(stream, service.clone(), Arc::clone(&shared)))),
        }
    }
}

async fn connection(stream: TcpStream, service: S3Service, shared: Arc<Shared>) {
    // Without it small replies wait for the client's delayed acknowledgement, 40 ms each.
    drop(stream.set_nodelay(true));
    let reset = Arc::new(AtomicBool::new(false));
    let stream = Stream { stream, reset: Arc::clone(&reset) };
    let answer = service_fn(move |request| {
        let (service, shared, reset) = (service.clone(), Arc::clone(&shared), Arc::clone(&reset));
        async move { answer(request, service, shared, reset).await }
    });
    // It ends with an error when the client goes or a fault cuts it; both are meant.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
}

async fn answer(request: hyper::Request<Incoming>, service: S3Service, shared: Arc<Shared>, reset: Arc<AtomicBool>) -> Result<Reply, Cut> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let query = request.uri().query().unwrap_or_default().to_owned();
    if path.starts_with("/_") {
        return Ok(control(&method, &path, &query, &shared));
    }
    let fault = meet(&mut shared.faults.lock().unwrap_or_else(PoisonError::into_inner), method.as_str(), &path);
    let result = respond(request, fault, &service, &reset).await;
    let status = result.as_ref().ok().map(|reply| reply.status().as_u16());
    let seen = Request { method: method.to_string(), path, query, status };
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    let mut reply = result?;
    let date = shared.date.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(date) = date.and_then(|date| HeaderValue::try_from(date).ok()) {
        reply.headers_mut().insert(DATE, date);
    }
    Ok(reply)
}

/// The reply, or a cut connection.
async fn respond(
    request: hyper::Request<Incoming>,
    fault: Option<HttpFault>,
    service: &S3Service,
    reset: &AtomicBool,
) -> Result<Reply, Cut> {
    match fault {
        Some(HttpFault::CloseBefore) => return Err(Cut),
        Some(HttpFault::StatusBefore(status, code)) => {
            // The request is read whole first, else the client would see a broken pipe instead of the status.
            request.into_body().collect().await.map_err(|_| Cut)?;
            return Ok(refusal(status, &code));
        }
        Some(HttpFault::DelayBefore(delay)) => {
            // Read whole and carried on apart, so that it takes effect even if the client has gone.
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
            let service = service.clone();
            let late = tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                service.call(hyper::Request::from_parts(parts, s3s::Body::from(body))).await
            });
            return late.await.map_err(|_| Cut)?.map(reply_of).map_err(|_| Cut);
        }
        _ => {}
    }
    let reply = service.call(request.map(s3s::Body::from)).await.map_err(|_| Cut)?;
    match fault {
        Some(HttpFault::CloseAfter) => Err(Cut),
        Some(HttpFault::ResetAfter) => {
            reset.store(true, Ordering::Relaxed);
            Err(Cut)
        }
        Some(HttpFault::StatusAfter(status, code)) => Ok(refusal(status, &code)),
        Some(HttpFault::DelayAfter(delay)) => {
            tokio::time::sleep(delay).await;
            Ok(reply_of(reply))
        }
        Some(HttpFault::CutBody(bytes)) => {
            let (parts, body) = reply.into_parts();
            let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
            let part = Some(body.slice(..bytes.min(body.len())));
            Ok(Response::from_parts(parts, BoxBody::new(CutBody { part, waited: false })))
        }
        _ => Ok(reply_of(reply)),
    }
}

fn reply_of(reply: s3s::HttpResponse) -> Reply {
    reply.map(|body| BoxBody::new(body.map_err(|_| Cut)))
}

/// A body that ends too early: what there is of it, then, once that had a chance to be sent, an error.
struct CutBody {
    part: Option<Bytes>,
    waited: bool,
}

impl hyper::body::Body for CutBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(part) = self.part.take() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if !std::mem::replace(&mut self.waited, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Cut)))
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed());
    *reply.status_mut() = status;
    reply
}

fn refusal(status: u16, code: &str) -> Reply {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>a fault on purpose</Message></Error>");
    let mut reply = plain(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), text);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    reply
}

/// `POST /_fault?kind=…&method=…&path=…&skip=…&times=…` adds a rule, `DELETE /_fault` forgets all, `GET /_requests` lists what was asked.
fn control(method: &Method, path: &str, query: &str, shared: &Shared) -> Reply {
    let argument = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let number = |name: &str, default: u64| argument(name).map_or(Some(default), |value| value.parse().ok());
    match (method, path) {
        (&Method::POST, "/_fault") => {
            let fault = argument("kind").and_then(|kind| HttpFault::parse(&kind, argument));
            let (Some(fault), Some(skip), Some(times @ 1..)) = (fault, number("skip", 0), number("times", 1)) else {
                return plain(StatusCode::BAD_REQUEST, "no such fault\n");
            };
            let mut rule = FaultRule::new(fault).skip(skip).times(times).path_prefix(&argument("path").unwrap_or_default());
            if let Some(method) = argument("method") {
                rule = rule.method(&method);
            }
            shared.faults.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
            plain(StatusCode::OK, "")
        }
        (&Method::DELETE, "/_fault") => {
            shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
            plain(StatusCode::OK, "")
        }
        (&Method::GET, "/_requests") => {
            let requests = shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let line = |seen: &Request| {
                let status = seen.status.map_or_else(|| "cut".to_owned(), |status| status.to_string());
                format!("{} {}?{} {status}\n", seen.method, seen.path, seen.query)
            };
            plain(StatusCode::OK, requests.iter().map(line).collect::<String>())
        }
        _ => plain(StatusCode::NOT_FOUND, "no such control\n"),
    }
}

/// A connection that can end with a reset.
struct Stream {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            // A shutdown would send the peaceful end first.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
