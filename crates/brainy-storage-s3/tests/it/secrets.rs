//! No credential, signature or content in what people read.

use std::num::NonZeroUsize;

use brainy_core::ErrorKind;
use brainy_storage::{GetOptions, Outcome, Precondition, Prefix, Revision, Store, StoreError};
use brainy_storage_s3::{AccessKey, S3Options, S3Store};
use brainy_testkit::s3_endpoint::{ACCESS_KEY, FaultRule, HttpFault};
use bytes::Bytes;

use crate::world::{BUCKET, TIMEOUT, World, key};

/// Part of every secret and content below.
const POISON: &str = "sesame";

/// Everything that a person or a log may see of an error.
fn shown(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text} {error} {error:?}");
        source = error.source();
    }
    text
}

/// The errors of every operation of `store`.
async fn errors(store: &S3Store) -> Vec<StoreError> {
    let body = || Bytes::from_static(b"sesame content");
    let mut errors = Vec::new();
    errors.extend(store.get(&key("a"), GetOptions::whole()).await.err());
    errors.extend(store.get(&key("a"), GetOptions::range(0..1)).await.err());
    for precondition in [Precondition::None, Precondition::IfAbsent, Precondition::IfMatch(Revision::new("\"1\""))] {
        errors.extend(match store.put(&key("a"), body(), precondition).await {
            Ok(answer) => match answer.value {
                Outcome::Unknown(error) => Some(error),
                _ => None,
            },
            Err(error) => Some(error),
        });
    }
    errors.extend(store.list(&Prefix::root(), None, NonZeroUsize::MIN).await.err());
    errors.extend(store.delete(&key("a")).await.err());
    errors.extend(store.delete_many(&[key("a")]).await.err());
    errors
}

// INV-18: no secret in errors or logs.
#[tokio::test]
async fn no_error_or_debug_text_shows_a_secret() {
    let world = World::new();
    let poisoned = |id: &str, endpoint: String| {
        let key = AccessKey::new(id, format!("{POISON}-secret")).with_session_token(format!("{POISON}-token"));
        let options = S3Options::new(BUCKET).with_endpoint(endpoint).with_access_key(key).with_sse_kms_key_id(format!("{POISON}-kms"));
        let options = options.with_request_timeout(TIMEOUT).with_bulk_timeout(TIMEOUT);
        let text = format!("{options:?}");
        let store = S3Store::open(options).unwrap();
        (format!("{text} {store:?} {}", store.location()), store)
    };
    let mut texts = Vec::new();

    // A wrong secret: the server's body repeats the id and what was signed.
    let (text, store) = poisoned(ACCESS_KEY, world.endpoint.url());
    texts.push(text);
    let refused = errors(&store).await;
    assert_eq!(refused.len(), 8, "{refused:?}");
    assert!(refused.iter().all(|error| error.kind() == ErrorKind::Invalid), "{refused:?}");
    texts.extend(refused.iter().map(shown));
    // A wrong id.
    let (text, store) = poisoned(&format!("{POISON}-id"), world.endpoint.url());
    texts.push(text);
    texts.extend(errors(&store).await.iter().map(shown));
    // Every other way to fail; the code is what a hostile server would put there.
    for fault in [
        HttpFault::CloseBefore,
        HttpFault::StatusBefore(400, format!("{POISON} {POISON}")),
        HttpFault::StatusBefore(403, format!("<{POISON}>")),
        HttpFault::StatusBefore(301, "PermanentRedirect".to_owned()),
        HttpFault::StatusBefore(412, "PreconditionFailed".to_owned()),
        HttpFault::StatusBefore(501, "NotImplemented".to_owned()),
    ] {
        world.endpoint.add_fault(FaultRule::new(fault.clone()).always());
        let failed = errors(&store).await;
        assert!(failed.len() >= 5, "{fault:?}: {failed:?}");
        texts.extend(failed.iter().map(shown));
        world.endpoint.clear_faults();
    }
    // Nobody there.
    let (_, store) = poisoned("id", "http://127.0.0.1:9".to_owned());
    texts.extend(errors(&store).await.iter().map(shown));

    for text in &texts {
        assert!(!text.contains(POISON) && !text.contains("Signature=") && !text.contains("Credential="), "{text}");
    }
    assert!(texts.len() > 50, "{} texts", texts.len());
}
