use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

/// Status and text of the whole reply; none if the connection was cut.
fn ask(endpoint: &S3Endpoint, method: &str, target: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(endpoint.address).unwrap();
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut reply = String::new();
    // A reset is the same to the test as a peaceful end.
    drop(stream.read_to_string(&mut reply));
    let status = reply.split(' ').nth(1)?.parse().ok()?;
    Some((status, reply))
}

#[test]
fn what_is_not_signed_is_refused() {
    let endpoint = S3Endpoint::start(Mode::Exact);
    endpoint.make_bucket("things");
    let (status, reply) = ask(&endpoint, "GET", "/things/a").unwrap();
    assert!(status == 403 && reply.contains("<Code>AccessDenied</Code>"), "{reply}");
}

#[test]
fn faults_are_set_and_forgotten_over_http() {
    let endpoint = S3Endpoint::start(Mode::Exact);
    let set = |query: &str| ask(&endpoint, "POST", &format!("/_fault?{query}")).unwrap().0;
    for wrong in ["", "kind=none", "kind=delay_after", "kind=status_before&status=9", "kind=close_after&times=0", "kind=close_after&skip=x"]
    {
        assert_eq!(set(wrong), 400, "{wrong}");
    }
    assert_eq!(set("kind=status_before&status=503&code=SlowDown&method=GET&path=/things/a&skip=1&times=2"), 200);
    assert_eq!(set("kind=close_before&path=/things/b"), 200);
    let statuses = |target: &str| ask(&endpoint, "GET", target).map(|(status, _)| status);
    let seen: Vec<_> = (0..4).map(|_| statuses("/things/a")).collect();
    assert_eq!(seen, [Some(403), Some(503), Some(503), Some(403)]);
    assert_eq!(statuses("/things/b"), None);
    assert_eq!(set("kind=reset_after"), 200);
    assert_eq!(ask(&endpoint, "DELETE", "/_fault").unwrap().0, 200);
    assert_eq!(statuses("/things/b"), Some(403));
    let (_, log) = ask(&endpoint, "GET", "/_requests").unwrap();
    assert!(log.contains("GET /things/a? 503") && log.contains("GET /things/b? cut"), "{log}");
    assert_eq!(endpoint.requests().len(), 6, "controls are not requests");
}

#[test]
fn a_cut_body_is_shorter_than_its_length_says() {
    let endpoint = S3Endpoint::start(Mode::Exact);
    endpoint.add_fault(FaultRule::new(HttpFault::CutBody(10)));
    let (status, reply) = ask(&endpoint, "GET", "/things/a").unwrap();
    assert!(status == 403 && !reply.contains("</Error>"), "{reply}");
}

#[test]
fn a_fixed_date_is_said_until_it_is_taken_back() {
    let endpoint = S3Endpoint::start(Mode::Exact);
    let date = "Thu, 01 Jan 1970 00:00:07 GMT";
    endpoint.set_date(Some(date));
    assert!(ask(&endpoint, "GET", "/things/a").unwrap().1.contains(date));
    endpoint.set_date(None);
    assert!(!ask(&endpoint, "GET", "/things/a").unwrap().1.contains(date));
}
