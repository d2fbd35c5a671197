//! Buckets and objects in memory, and the S3 operations on them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use brainy_core::{Clock, SystemClock};
use bytes::Bytes;
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use s3s::dto::{
    Bucket, CommonPrefix, CreateBucketInput, CreateBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    PutObjectInput, PutObjectOutput, Range, StreamingBlob, Timestamp,
};
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

/// Longest page of a listing, as on S3.
const PAGE: usize = 1000;
/// How long a non-atomic endpoint waits between checking a condition and writing.
const GAP: Duration = Duration::from_millis(3);

/// What the endpoint makes of conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each is checked and the write done in one step, as S3 does.
    #[default]
    Exact,
    /// They are accepted and ignored, as several servers do.
    IgnoreConditions,
    /// They are checked, and the write is done a little later, as some servers do.
    NonAtomic,
}

impl Mode {
    /// The mode of this name: `exact`, `ignore-conditions` or `non-atomic`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "exact" => Some(Self::Exact),
            "ignore-conditions" => Some(Self::IgnoreConditions),
            "non-atomic" => Some(Self::NonAtomic),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Bytes,
    etag: String,
    modified: SystemTime,
}

type Objects = BTreeMap<String, Stored>;

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Content {
    mode: Mode,
    buckets: Mutex<BTreeMap<String, Objects>>,
}

/// The content as the service that s3s drives.
#[derive(Clone, Debug)]
pub(crate) struct Service(pub(crate) std::sync::Arc<Content>);

impl Content {
    pub(crate) fn new(mode: Mode) -> Self {
        Self { mode, buckets: Mutex::default() }
    }

    fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Objects>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn make_bucket(&self, name: &str) {
        self.buckets().entry(name.to_owned()).or_default();
    }

    pub(crate) fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.buckets().get(bucket)?.get(key).map(|stored| stored.bytes.clone())
    }

    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        self.buckets().get(bucket).map(|objects| objects.keys().cloned().collect()).unwrap_or_default()
    }

    fn with<T>(&self, bucket: &str, act: impl FnOnce(&mut Objects) -> S3Result<T>) -> S3Result<T> {
        let mut buckets = self.buckets();
        act(buckets.get_mut(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?)
    }

    /// The object, if the conditions of a read hold.
    fn read(&self, bucket: &str, key: &str, if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<Stored> {
        let stored = self.with(bucket, |objects| objects.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey)))?;
        let is = |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == stored.etag);
        if self.mode == Mode::IgnoreConditions {
            return Ok(stored);
        }
        if if_match.is_some_and(|condition| !is(condition)) {
            return Err(s3_error!(PreconditionFailed));
        }
        if if_none_match.is_some_and(is) {
            return Err(s3_error!(NotModified));
        }
        Ok(stored)
    }
}

/// Whether an object may be written over `current`.
fn may_write(current: Option<&Stored>, if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<()> {
    match if_none_match {
        Some(ETagCondition::Any) if current.is_some() => return Err(s3_error!(PreconditionFailed)),
        Some(ETagCondition::ETag(_)) => return Err(s3_error!(NotImplemented)),
        Some(ETagCondition::Any) | None => {}
    }
    match (if_match, current) {
        (Some(_), None) => Err(s3_error!(NoSuchKey)),
        (Some(ETagCondition::ETag(expected)), Some(current)) if expected.value() != current.etag => Err(s3_error!(PreconditionFailed)),
        _ => Ok(()),
    }
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let sextet = (group >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[sextet as usize]) } else { '=' });
        }
    }
    text
}

fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(SystemClock.wall_ms())
}

fn size(bytes: &Bytes) -> Option<i64> {
    i64::try_from(bytes.len()).ok()
}

async fn whole(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    match Body::from(body).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(S3Error::with_source(S3ErrorCode::IncompleteBody, error)),
    }
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let mut buckets = self.0.buckets();
        if buckets.contains_key(&req.input.bucket) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        buckets.insert(req.input.bucket, Objects::new());
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.with(&req.input.bucket, |_| Ok(S3Response::new(HeadBucketOutput::default())))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.0.buckets().keys().map(|name| Bucket { name: Some(name.clone()), ..Bucket::default() }).collect();
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        let bytes = whole(input.body).await?;
        let digest = md5(&bytes);
        if input.content_md5.is_some_and(|claimed| claimed != base64(&digest)) {
            return Err(s3_error!(BadDigest));
        }
        let ignore = self.0.mode == Mode::IgnoreConditions;
        let (if_match, if_none_match) = if ignore { (None, None) } else { (input.if_match.as_ref(), input.if_none_match.as_ref()) };
        if self.0.mode == Mode::NonAtomic {
            self.0.with(&input.bucket, |objects| may_write(objects.get(&input.key), if_match, if_none_match))?;
            tokio::time::sleep(GAP).await;
        }
        let stored = Stored { bytes, etag: hex(&digest), modified: wall() };
        let etag = ETag::Strong(stored.etag.clone());
        self.0.with(&input.bucket, |objects| {
            if self.0.mode == Mode::Exact {
                may_write(objects.get(&input.key), if_match, if_none_match)?;
            }
            objects.insert(input.key.clone(), stored);
            Ok(())
        })?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(etag), ..PutObjectOutput::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let stored = self.0.read(&input.bucket, &input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let total = stored.bytes.len();
        let (bytes, content_range) = match input.range {
            None => (stored.bytes, None),
            Some(range) => {
                let range = Range::check(&range, total as u64)?;
                let shown = format!("bytes {}-{}/{total}", range.start, range.end - 1);
                (stored.bytes.slice(range.start as usize..range.end as usize), Some(shown))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: size(&bytes),
            content_range,
            e_tag: Some(ETag::Strong(stored.etag)),
            last_modified: Some(Timestamp::from(stored.modified)),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let stored = self.0.read(&input.bucket, &input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: size(&stored.bytes),
            e_tag: Some(ETag::Strong(stored.etag)),
            last_modified: Some(Timestamp::from(stored.modified)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let limit = input.max_keys.map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(0).min(PAGE));
        let prefix = input.prefix.clone().unwrap_or_default();
        let from =
            input.continuation_token.as_ref().or(input.start_after.as_ref()).map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone()));
        let mut contents = Vec::new();
        let mut folders = BTreeSet::new();
        let mut last = None;
        let mut truncated = false;
        self.0.with(&input.bucket, |objects| {
            for (key, stored) in objects.range((from, Bound::Unbounded)).filter(|(key, _)| key.starts_with(&prefix)) {
                let folder = input.delimiter.as_ref().and_then(|delimiter| {
                    key[prefix.len()..].find(delimiter.as_str()).map(|at| &key[..prefix.len() + at + delimiter.len()])
                });
                let known = folder.is_some_and(|folder| folders.contains(folder));
                if !known && contents.len() + folders.len() == limit {
                    truncated = true;
                    break;
                }
                last = Some(key.clone());
                match folder {
                    Some(folder) => drop(folders.insert(folder.to_owned())),
                    None => contents.push(Object {
                        key: Some(key.clone()),
                        size: size(&stored.bytes),
                        e_tag: Some(ETag::Strong(stored.etag.clone())),
                        last_modified: Some(Timestamp::from(stored.modified)),
                        ..Object::default()
                    }),
                }
            }
            Ok(())
        })?;
        let folders: Vec<_> = folders.into_iter().map(|folder| CommonPrefix { prefix: Some(folder) }).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            max_keys: i32::try_from(limit).ok(),
            key_count: i32::try_from(contents.len() + folders.len()).ok(),
            is_truncated: Some(truncated),
            next_continuation_token: last.filter(|_| truncated),
            continuation_token: input.continuation_token,
            start_after: input.start_after,
            contents: Some(contents),
            common_prefixes: Some(folders),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.with(&req.input.bucket, |objects| {
            if let Some(expected) = req.input.if_match.as_ref().filter(|_| self.0.mode != Mode::IgnoreConditions) {
                may_write(objects.get(&req.input.key), Some(expected), None)?;
            }
            objects.remove(&req.input.key);
            Ok(S3Response::new(DeleteObjectOutput::default()))
        })
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = req.input;
        if input.delete.objects.len() > PAGE {
            return Err(s3_error!(MalformedXML));
        }
        self.0.with(&input.bucket, |objects| {
            let mut deleted = Vec::new();
            for object in input.delete.objects {
                objects.remove(&object.key);
                deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
            }
            let deleted = (input.delete.quiet != Some(true)).then_some(deleted);
            Ok(S3Response::new(DeleteObjectsOutput { deleted, ..DeleteObjectsOutput::default() }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_rfc_4648_says() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
