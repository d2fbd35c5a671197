//! Whether a request was signed by the key it names: AWS Signature Version 4, as the server checks it.
//!
//! The signing date is the client's own real clock; it is checked against the signature, not against the simulated time, and comes into no trace.

use std::fmt::Write as _;

use http::request::Parts;
use ring::{digest, hmac};
use url::form_urlencoded;

use super::{ACCESS_KEY, ENDPOINT, SECRET_KEY};

/// # Errors
/// It was not; says what is wrong.
pub(super) fn check(parts: &Parts, body: &[u8]) -> Result<(), String> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).ok_or_else(|| format!("no {name}"));
    let fields = header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another algorithm")?;
    let field = |name: &str| {
        let found = fields.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| format!("no {name} in the authorization"))
    };
    let (id, scope) = field("Credential")?.split_once('/').ok_or("a credential without a scope")?;
    if id != ACCESS_KEY {
        return Err("nobody has this access key".into());
    }
    let digest = header("x-amz-content-sha256")?;
    if digest != hex(digest::digest(&digest::SHA256, body).as_ref()) {
        return Err("the body is not what was signed".into());
    }
    let (signed, date) = (field("SignedHeaders")?, header("x-amz-date")?);
    let mut canonical = format!("{}\n{}\n{}\n", parts.method, parts.uri.path(), query(parts.uri.query().unwrap_or_default()));
    for name in signed.split(';') {
        // The transport makes the header of it.
        let value = if name == "host" { ENDPOINT.trim_start_matches("http://") } else { header(name)? };
        let words: Vec<_> = value.split_whitespace().collect();
        let line = writeln!(canonical, "{name}:{}", words.join(" "));
        line.expect("writing to a String cannot fail");
    }
    let line = write!(canonical, "\n{signed}\n{digest}");
    line.expect("writing to a String cannot fail");
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}")));
    if signature == field("Signature")? { Ok(()) } else { Err("the signature is another".into()) }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let line = write!(text, "{byte:02x}");
        line.expect("writing to a String cannot fail");
        text
    })
}

/// The parameters by name, with all but letters, digits and `-._~` escaped.
fn query(query: &str) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut escaped, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                escaped.push(char::from(byte));
            } else {
                let line = write!(escaped, "%{byte:02X}");
                line.expect("writing to a String cannot fail");
            }
            escaped
        })
    };
    let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (escape(&name), escape(&value))).collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}
