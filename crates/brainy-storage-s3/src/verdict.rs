//! What a status means: how a write ended, and which error the rest is.

use brainy_core::ErrorKind;
use brainy_storage::{Operation, Outcome, Precondition, StoreError};
use http::StatusCode;

use crate::note::{Ending, Seen};

/// Codes of an access key that will not become right by waiting.
const WRONG_KEY: [&str; 4] = ["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthorizationHeaderMalformed"];
/// Codes of a 400 that says nothing against the request itself.
const PASSING: [&str; 3] = ["RequestTimeout", "ExpiredToken", "RequestExpired"];

/// How a write ended whose success was not reported.
///
/// # Errors
/// Nothing was written, nor will be.
pub(crate) fn of_put(key: &str, bucket: &str, precondition: &Precondition, seen: &Seen) -> Result<Outcome, StoreError> {
    let refused = match (precondition, seen.status()) {
        // R2 says 304 where S3 says 412.
        (Precondition::IfAbsent, Some(StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED)) => true,
        (Precondition::IfMatch(_), Some(StatusCode::PRECONDITION_FAILED)) => true,
        // S3 answers so where there is no object to match; a missing bucket is something else.
        (Precondition::IfMatch(_), Some(StatusCode::NOT_FOUND)) => seen.code() != Some("NoSuchBucket"),
        _ => false,
    };
    if seen.in_doubt {
        return Ok(Outcome::Unknown(of(Operation::Put, key, bucket, seen)));
    }
    match seen.status() {
        _ if refused => Ok(Outcome::Rejected),
        // It was written; only its new revision is not known.
        Some(status) if status.is_success() => Ok(Outcome::Unknown(of(Operation::Put, key, bucket, seen))),
        _ => Err(of(Operation::Put, key, bucket, seen)),
    }
}

/// The error that the ending of a call is. Its text is ours: bodies of error replies repeat access keys and signed strings.
pub(crate) fn of(operation: Operation, subject: impl std::fmt::Display, bucket: &str, seen: &Seen) -> StoreError {
    let (kind, reason) = match &seen.ending {
        None => (ErrorKind::Unavailable, "no request was made: the machine gave no credentials".to_owned()),
        Some(Ending::NotSent(text)) => (ErrorKind::Unavailable, format!("no connection: {text}")),
        Some(Ending::Lost(text)) => (ErrorKind::Unavailable, format!("the reply was lost: {text}")),
        Some(Ending::Reply { status, code, region }) => of_status(*status, code.as_deref(), region.as_deref(), bucket),
    };
    StoreError::new(kind, operation, subject, reason).at(seen.at)
}

fn of_status(status: StatusCode, code: Option<&str>, region: Option<&str>, bucket: &str) -> (ErrorKind, String) {
    let said = match code {
        Some(code) => format!("{} {code}", status.as_u16()),
        None => status.as_u16().to_string(),
    };
    let is = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    match status {
        _ if status.is_success() => (ErrorKind::Unavailable, format!("a reply that says {said} and cannot be understood")),
        _ if status.is_redirection() => {
            match region.filter(|region| region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')) {
                Some(region) => (ErrorKind::Invalid, format!("bucket {bucket} is in region {region} ({said}); set that region")),
                None => (ErrorKind::Invalid, format!("bucket {bucket} is elsewhere ({said}); set its region or endpoint")),
            }
        }
        StatusCode::NOT_FOUND if is(&["NoSuchKey"]) => (ErrorKind::NotFound, format!("no such object ({said})")),
        StatusCode::NOT_FOUND => (ErrorKind::NotFound, format!("bucket {bucket} does not exist ({said}); make it first")),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST if is(&WRONG_KEY) => {
            (ErrorKind::Invalid, format!("the access key, its secret or the region is wrong ({said})"))
        }
        StatusCode::FORBIDDEN if is(&["RequestTimeTooSkewed"]) => {
            (ErrorKind::Unavailable, format!("this machine's clock is too far from the server's ({said})"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
            ErrorKind::Unavailable,
            format!("not permitted ({said}); AWS says so of an absent object too, to whom it does not let list the bucket"),
        ),
        StatusCode::PRECONDITION_FAILED => (ErrorKind::Conflict, format!("a condition did not hold ({said})")),
        StatusCode::CONFLICT => (ErrorKind::Unavailable, format!("somebody else was at it, nothing is decided ({said})")),
        StatusCode::RANGE_NOT_SATISFIABLE => (ErrorKind::Invalid, format!("the range begins at the object's end or beyond ({said})")),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            (ErrorKind::Unsupported, format!("the server does not do that ({said})"))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            (ErrorKind::Overloaded, format!("the server asks for patience ({said})"))
        }
        StatusCode::REQUEST_TIMEOUT => (ErrorKind::Unavailable, format!("the request was too slow for the server ({said})")),
        StatusCode::BAD_REQUEST if is(&PASSING) => (ErrorKind::Unavailable, format!("refused for now ({said})")),
        _ if status.is_server_error() => (ErrorKind::Unavailable, format!("the server failed ({said})")),
        _ => (ErrorKind::Invalid, format!("the server refused it ({said})")),
    }
}

#[cfg(test)]
mod tests {
    use brainy_storage::Revision;

    use super::*;

    #[derive(Debug, PartialEq)]
    enum Said {
        Rejected,
        Unknown,
        Err(ErrorKind),
    }

    fn said(precondition: &Precondition, ending: Ending, in_doubt: bool) -> Said {
        let seen = Seen { ending: Some(ending), in_doubt, at: None };
        match of_put("key", "bucket", precondition, &seen) {
            Ok(Outcome::Rejected) => Said::Rejected,
            Ok(Outcome::Unknown(_)) => Said::Unknown,
            Ok(Outcome::Committed(_)) => panic!("nothing says so"),
            Err(error) => Said::Err(error.kind()),
        }
    }

    #[test]
    fn only_a_refused_condition_is_a_rejection_and_only_what_certainly_had_no_effect_is_an_error() {
        let create = Precondition::IfAbsent;
        let update = Precondition::IfMatch(Revision::new("\"1\""));
        let always = Precondition::None;
        for (precondition, status, code, expected) in [
            (&create, 412, None, Said::Rejected),
            (&update, 412, None, Said::Rejected),
            (&create, 304, None, Said::Rejected),
            (&update, 404, Some("NoSuchKey"), Said::Rejected),
            (&update, 404, None, Said::Rejected),
            (&update, 404, Some("NoSuchBucket"), Said::Err(ErrorKind::NotFound)),
            (&create, 404, Some("NoSuchBucket"), Said::Err(ErrorKind::NotFound)),
            (&always, 412, None, Said::Err(ErrorKind::Conflict)),
            (&create, 200, None, Said::Unknown),
            (&create, 400, Some("InvalidDigest"), Said::Err(ErrorKind::Invalid)),
            (&create, 400, Some("ExpiredToken"), Said::Err(ErrorKind::Unavailable)),
            (&create, 400, Some("RequestTimeout"), Said::Err(ErrorKind::Unavailable)),
            (&create, 403, Some("RequestTimeTooSkewed"), Said::Err(ErrorKind::Unavailable)),
            (&create, 429, None, Said::Err(ErrorKind::Overloaded)),
            (&create, 503, Some("SlowDown"), Said::Err(ErrorKind::Overloaded)),
            (&create, 500, Some("InternalError"), Said::Err(ErrorKind::Unavailable)),
            (&create, 403, Some("SignatureDoesNotMatch"), Said::Err(ErrorKind::Invalid)),
            (&create, 403, Some("AccessDenied"), Said::Err(ErrorKind::Unavailable)),
            (&create, 501, Some("NotImplemented"), Said::Err(ErrorKind::Unsupported)),
            (&create, 301, None, Said::Err(ErrorKind::Invalid)),
        ] {
            let ending = Ending::Reply { status: StatusCode::from_u16(status).unwrap(), code: code.map(str::to_owned), region: None };
            assert_eq!(said(precondition, ending.clone(), false), expected, "{status} {code:?}");
            assert_eq!(said(precondition, ending, true), Said::Unknown, "{status} {code:?} after another request was lost");
        }
        assert_eq!(said(&create, Ending::NotSent("refused".to_owned()), false), Said::Err(ErrorKind::Unavailable));
        assert_eq!(said(&create, Ending::Lost("reset".to_owned()), true), Said::Unknown);
    }

    #[test]
    fn a_wrong_region_is_named() {
        let ending = Ending::Reply { status: StatusCode::MOVED_PERMANENTLY, code: None, region: Some("eu-west-1".to_owned()) };
        let error = of(Operation::Get, "key", "things", &Seen { ending: Some(ending), in_doubt: false, at: None });
        assert!(error.to_string().contains("bucket things is in region eu-west-1"), "{error}");
    }
}
