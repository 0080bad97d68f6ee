//! Listing: objects and tails first, then uploads in parts.

use std::collections::VecDeque;
use std::sync::Arc;

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use futures::stream::{self, Stream};
use tokio::runtime::Handle;

use super::AbortOnDrop;
use super::bucket::Bucket;
use crate::error::{Error, Result};
use crate::parts::{joined, parse};
use crate::store::ObjectInfo;

/// The key and the id of the last upload of a page.
type Markers = (String, String);

/// Where a listing goes on.
enum Next {
    Objects { token: Option<String> },
    Uploads { markers: Option<Markers> },
    End,
}

struct Listing {
    bucket: Arc<Bucket>,
    runtime: Handle,
    prefix: String,
    ready: VecDeque<Result<ObjectInfo>>,
    next: Next,
}

/// Everything whose key begins with the prefix.
pub(super) fn list(
    bucket: &Arc<Bucket>,
    runtime: &Handle,
    prefix: &str,
) -> impl Stream<Item = Result<ObjectInfo>> + Send + use<> {
    let listing = Listing {
        bucket: Arc::clone(bucket),
        runtime: runtime.clone(),
        prefix: prefix.to_owned(),
        ready: VecDeque::new(),
        next: Next::Objects { token: None },
    };
    stream::unfold(listing, |mut listing| async move {
        loop {
            if let Some(entry) = listing.ready.pop_front() {
                return Some((entry, listing));
            }
            if matches!(listing.next, Next::End) {
                return None;
            }
            listing.turn_page().await;
        }
    })
}

type Page = (Vec<Result<ObjectInfo>>, Next);

impl Listing {
    async fn turn_page(&mut self) {
        let (bucket, prefix) = (Arc::clone(&self.bucket), self.prefix.clone());
        let next = std::mem::replace(&mut self.next, Next::End);
        let asking = self.runtime.spawn(async move {
            match next {
                Next::Objects { token } => objects(&bucket, &prefix, token).await,
                Next::Uploads { markers } => uploads(&bucket, &prefix, markers).await,
                Next::End => Ok((Vec::new(), Next::End)),
            }
        });
        match joined("list", AbortOnDrop(asking).await) {
            Ok((entries, next)) => {
                self.ready.extend(entries);
                self.next = next;
            }
            // After it nothing more is known, so that the listing ends.
            Err(error) => self.ready.push_back(Err(error)),
        }
    }
}

fn entry(name: &str, size: Option<i64>, is_upload: bool) -> Result<ObjectInfo> {
    let (key, is_tail) = parse(name)?;
    Ok(ObjectInfo {
        key,
        size: size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
        unfinished: is_tail || is_upload,
    })
}

/// A page says that more follow, but not where.
fn cut_short(bucket: &Bucket, prefix: &str) -> Error {
    Error::Unavailable {
        subject: bucket.subject("list", prefix),
        source: "the store's answer was cut short".into(),
    }
}

async fn objects(bucket: &Bucket, prefix: &str, token: Option<String>) -> Result<Page> {
    let list = bucket.client.list_objects_v2().bucket(bucket.name());
    let list = list
        .prefix(bucket.key(prefix))
        .set_continuation_token(token);
    let page = list.send().await;
    let page = page.map_err(|error| bucket.failed("list", prefix, error))?;
    let entries = page.contents().iter().filter_map(|object| {
        let name = bucket.name_of(object.key()?)?;
        Some(entry(name, object.size(), false))
    });
    let next = match (page.is_truncated(), page.next_continuation_token()) {
        (Some(true), Some(token)) => Next::Objects {
            token: Some(token.to_owned()),
        },
        (Some(true), None) => return Err(cut_short(bucket, prefix)),
        _ => Next::Uploads { markers: None },
    };
    Ok((entries.collect(), next))
}

async fn uploads(bucket: &Bucket, prefix: &str, markers: Option<Markers>) -> Result<Page> {
    let page = uploads_page(bucket, prefix, markers).await?;
    let entries = page.uploads().iter().filter_map(|upload| {
        let name = bucket.name_of(upload.key()?)?;
        Some(entry(name, None, true))
    });
    let next = match after(bucket, prefix, &page)? {
        Some(markers) => Next::Uploads {
            markers: Some(markers),
        },
        None => Next::End,
    };
    Ok((entries.collect(), next))
}

async fn uploads_page(
    bucket: &Bucket,
    prefix: &str,
    markers: Option<Markers>,
) -> Result<ListMultipartUploadsOutput> {
    let (key_marker, id_marker) = markers.unzip();
    let list = bucket.client.list_multipart_uploads().bucket(bucket.name());
    let list = list.prefix(bucket.key(prefix));
    let list = list
        .set_key_marker(key_marker)
        .set_upload_id_marker(id_marker);
    let page = list.send().await;
    page.map_err(|error| bucket.failed("list uploads below", prefix, error))
}

/// Where the page after this one begins; `None` after the last.
fn after(
    bucket: &Bucket,
    prefix: &str,
    page: &ListMultipartUploadsOutput,
) -> Result<Option<Markers>> {
    match (page.is_truncated(), page.next_key_marker()) {
        (Some(true), Some(key)) => {
            let id = page.next_upload_id_marker().unwrap_or_default();
            Ok(Some((key.to_owned(), id.to_owned())))
        }
        (Some(true), None) => Err(cut_short(bucket, prefix)),
        _ => Ok(None),
    }
}

/// What the bucket holds of one upload.
pub(super) struct Held {
    /// Names of objects, those of tails included.
    pub(super) names: Vec<String>,
    /// Ids of uploads in parts.
    pub(super) uploads: Vec<String>,
}

/// Finds what there is of `name`: the object if `with_object`, its tails, its uploads in parts.
pub(super) async fn held(bucket: &Bucket, name: &str, with_object: bool) -> Result<Held> {
    let mut names = Vec::new();
    let mut next = Next::Objects { token: None };
    while let Next::Objects { token } = next {
        let list = bucket.client.list_objects_v2().bucket(bucket.name());
        let list = list.prefix(bucket.key(name)).set_continuation_token(token);
        let page = list.send().await;
        let page = page.map_err(|error| bucket.failed("list", name, error))?;
        for object in page.contents() {
            let found = object.key().and_then(|key| bucket.name_of(key));
            let Some(found) = found else { continue };
            let is_tail = parse(found).is_ok_and(|(key, is_tail)| is_tail && key.as_str() == name);
            if is_tail || (with_object && found == name) {
                names.push(found.to_owned());
            }
        }
        next = match (page.is_truncated(), page.next_continuation_token()) {
            (Some(true), Some(token)) => Next::Objects {
                token: Some(token.to_owned()),
            },
            (Some(true), None) => return Err(cut_short(bucket, name)),
            _ => Next::End,
        };
    }
    let key = bucket.key(name);
    let mut ids = Vec::new();
    let mut markers = None;
    loop {
        let page = uploads_page(bucket, name, markers).await?;
        let uploads = page.uploads().iter();
        let uploads = uploads.filter(|upload| upload.key() == Some(&key));
        ids.extend(uploads.filter_map(|upload| upload.upload_id().map(str::to_owned)));
        markers = after(bucket, name, &page)?;
        if markers.is_none() {
            break;
        }
    }
    Ok(Held {
        names,
        uploads: ids,
    })
}
