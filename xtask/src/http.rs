//! Just enough HTTP to ask a server whether it is well and who it is.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::{Result, machine};

/// Longest wait for a connection, and for each read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of a reply that is read.
const HEAD_BYTES: u64 = 64 * 1024;

/// The head of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

impl Reply {
    /// The value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> Result<Self> {
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default();
        let code = status.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1));
        let status = code.and_then(|code| code.parse().ok()).ok_or_else(|| format!("no HTTP reply: {status:?}"))?;
        let headers = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Self { status, headers })
    }
}

/// GET `path` from `endpoint`, a URL of scheme and host. `https` goes through the `curl` command.
pub(crate) fn get(endpoint: &str, path: &str) -> Result<Reply> {
    let endpoint = endpoint.trim_end_matches('/');
    if let Some(host) = endpoint.strip_prefix("http://") {
        return plain(host, path).map_err(|error| format!("{endpoint}{path}: {error}").into());
    }
    if !endpoint.starts_with("https://") {
        return Err(format!("{endpoint:?} is not a URL of an endpoint: http://HOST:PORT or https://HOST").into());
    }
    let url = format!("{endpoint}{path}");
    let head = machine::answer("curl", &["--silent", "--max-time", "5", "--dump-header", "-", "--output", NOWHERE, &url]);
    Reply::parse(&head.ok_or_else(|| format!("`curl {url}` gave no answer (https needs curl)"))?)
}

const NOWHERE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

fn plain(host: &str, path: &str) -> Result<Reply> {
    let address =
        if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) { host.to_owned() } else { format!("{host}:80") };
    let address = address.to_socket_addrs()?.next().ok_or("the name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // In one piece: a server may answer and close after what it read first.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    let mut piece = [0; 4096];
    let mut limited = stream.take(HEAD_BYTES);
    while !reply.windows(4).any(|window| window == b"\r\n\r\n") {
        match limited.read(&mut piece)? {
            0 => break,
            count => reply.extend_from_slice(&piece[..count]),
        }
    }
    Reply::parse(&String::from_utf8_lossy(&reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_head_of_a_reply_is_read_without_its_body() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 512];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\nserver: MinIO\r\n\r\nbody: x").unwrap();
            String::from_utf8(request[..count].to_vec()).unwrap()
        });
        let reply = get(&url, "/minio/health/live").unwrap();
        assert_eq!((reply.status, reply.header("Server"), reply.header("body")), (403, Some("MinIO"), None));
        assert!(server.join().unwrap().starts_with("GET /minio/health/live HTTP/1.1\r\n"));
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        assert!(Reply::parse("SSH-2.0-x\r\n").is_err());
        assert!(Reply::parse("").is_err());
        assert!(get("ftp://127.0.0.1", "/").is_err());
    }
}
