//! What the collector, `verify`, the sweep and operators ask of the state. Nothing here changes it.
//!
//! Each function looks at a page of bounded length and says where the next one begins. Nothing
//! promises that what was seen is still so when a command arrives: `apply` checks again.

use roadstead_proto::rpc::metadata::{LinkName, ManifestName, UploadName};
use roadstead_proto::rpc::state::{Blob, Object, Presence, Reclaimed, Repository, Upload, object};

use super::collection::has_living_subject;
use super::keys::{self, Prefix};
use super::view::{Fault, View, ViewExt};

/// A page, and the key at which the next one begins; `None` after the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the order of their keys.
    pub items: Vec<T>,
    /// Where to go on.
    pub next: Option<Vec<u8>>,
}

/// The first key after this one.
fn following(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Rows of a table that is ordered by time, from `from` on, up to the time `until_ms`.
fn due<V: View + ?Sized>(
    view: &V,
    prefix: &Prefix<Presence>,
    from: &[u8],
    until_ms: u64,
    limit: usize,
) -> Result<Page<(u64, Vec<u8>)>, Fault> {
    let found = view.keys(prefix, from, limit)?;
    let mut next = (found.len() == limit).then(|| found.last().map(|key| following(key)));
    let mut items = Vec::with_capacity(found.len());
    for key in found {
        let Some((time_ms, rest)) = keys::split_number(&key) else {
            let table = prefix.table().name();
            return Err(Fault::Corrupt(format!("a key of `{table}` has no time")));
        };
        if time_ms > until_ms {
            next = None;
            break;
        }
        items.push((time_ms, rest.to_vec()));
    }
    Ok(Page {
        items,
        next: next.flatten(),
    })
}

fn pair(rest: &[u8]) -> Result<(String, String), Fault> {
    let parts = <[String; 2]>::try_from(keys::parts(rest));
    let [repository, digest] = parts
        .map_err(|parts| Fault::Corrupt(format!("{parts:?} is not a repository with a digest")))?;
    Ok((repository, digest))
}

/// Links without a reference whose hold ends at `now_ms` or before.
///
/// # Errors
/// [`Fault`]; so for all of these.
pub fn due_links<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    now_ms: u64,
    limit: usize,
) -> Result<Page<LinkName>, Fault> {
    let page = due(view, &keys::candidates(), from, now_ms, limit)?;
    let names = page.items.into_iter().map(|(_, rest)| {
        let (repository, digest) = pair(&rest)?;
        Ok(LinkName { repository, digest })
    });
    Ok(Page {
        items: names.collect::<Result<_, Fault>>()?,
        next: page.next,
    })
}

/// A reclaimed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReclaimedObject {
    /// The key.
    pub object_key: String,
    /// Since when, in cluster time.
    pub since_ms: u64,
    /// Its bytes, as far as the metadata know.
    pub size: u64,
}

/// Objects that were reclaimed at `until_ms` or before.
///
/// # Errors
/// [`Fault`].
pub fn reclaimed<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    until_ms: u64,
    limit: usize,
) -> Result<Page<ReclaimedObject>, Fault> {
    let page = due(view, &keys::all_reclaimable(), from, until_ms, limit)?;
    let mut items = Vec::with_capacity(page.items.len());
    for (since_ms, key) in page.items {
        let object_key = keys::last_part(&key);
        // Whoever asks will delete it: an index alone is no reason for that.
        let state = object(view, &object_key)?.and_then(|row| row.state);
        let Some(object::State::Reclaimed(Reclaimed { size, .. })) = state else {
            let reason = format!("{object_key} is to be deleted, but is {state:?}");
            return Err(Fault::Corrupt(reason));
        };
        items.push(ReclaimedObject {
            object_key,
            since_ms,
            size,
        });
    }
    Ok(Page {
        items,
        next: page.next,
    })
}

/// Manifests that are held by nothing since `until_ms` or longer.
///
/// # Errors
/// [`Fault`].
pub fn unheld<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    until_ms: u64,
    limit: usize,
) -> Result<Page<ManifestName>, Fault> {
    let page = due(view, &keys::all_unheld(), from, until_ms, limit)?;
    let names = page.items.into_iter().map(|(_, rest)| {
        let (repository, digest) = pair(&rest)?;
        Ok(ManifestName { repository, digest })
    });
    Ok(Page {
        items: names.collect::<Result<_, Fault>>()?,
        next: page.next,
    })
}

/// A page of all rows of a table, by the text that their keys are.
fn all<V: View + ?Sized, R: prost::Message + Default>(
    view: &V,
    prefix: &Prefix<R>,
    from: &[u8],
    limit: usize,
) -> Result<Page<(String, R)>, Fault> {
    let rows = view.rows(prefix, from, limit)?;
    let next = (rows.len() == limit).then(|| rows.last().map(|(key, _)| following(key)));
    let items = rows
        .into_iter()
        .map(|(key, row)| (keys::last_part(&key), row));
    Ok(Page {
        items: items.collect(),
        next: next.flatten(),
    })
}

/// Where the rows begin that come after the one named `last`, of those that a name is the key of.
pub fn after(last: &str) -> Vec<u8> {
    if last.is_empty() {
        Vec::new()
    } else {
        following(last.as_bytes())
    }
}

/// Repositories, by name; those that are being deleted are among them.
///
/// # Errors
/// [`Fault`].
pub fn repositories<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    limit: usize,
) -> Result<Page<(String, Repository)>, Fault> {
    all(view, &keys::repositories(), from, limit)
}

/// A repository, also while it is being deleted.
///
/// # Errors
/// [`Fault`].
pub fn repository<V: View + ?Sized>(view: &V, name: &str) -> Result<Option<Repository>, Fault> {
    view.row(&keys::repository(name))
}

/// Uploads in progress, by id.
///
/// # Errors
/// [`Fault`].
pub fn uploads<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    limit: usize,
) -> Result<Page<(String, Upload)>, Fault> {
    all(view, &keys::uploads(), from, limit)
}

/// Uploads that stood still since `until_ms` or longer.
///
/// # Errors
/// [`Fault`].
pub fn idle_uploads<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    until_ms: u64,
    limit: usize,
) -> Result<Page<UploadName>, Fault> {
    let page = uploads(view, from, limit)?;
    let names = page.items.into_iter().filter_map(|(upload, row)| {
        let epoch = row.epoch;
        (row.updated_at_ms <= until_ms).then_some(UploadName { upload, epoch })
    });
    Ok(Page {
        items: names.collect(),
        next: page.next,
    })
}

/// Blobs, by digest.
///
/// # Errors
/// [`Fault`].
pub fn blobs<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    limit: usize,
) -> Result<Page<(String, Blob)>, Fault> {
    all(view, &keys::blobs(), from, limit)
}

/// A blob, whichever repositories hold it.
///
/// # Errors
/// [`Fault`].
pub fn blob<V: View + ?Sized>(view: &V, digest: &str) -> Result<Option<Blob>, Fault> {
    view.row(&keys::blob(digest))
}

/// What the metadata say of an object key; `None` when they do not know it.
///
/// # Errors
/// [`Fault`].
pub fn object<V: View + ?Sized>(view: &V, object_key: &str) -> Result<Option<Object>, Fault> {
    view.row(&keys::object(object_key))
}

/// How many rows wait, and the time of the oldest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Rows, counted up to the limit that was asked for.
    pub count: u64,
    /// The cluster time in the first row's key.
    pub oldest_ms: Option<u64>,
}

/// What waits for collection, counted up to a limit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Links without a reference, whose holds may still last; the time is the end of a hold.
    pub links: Waiting,
    /// Reclaimed objects; the time is since when.
    pub objects: Waiting,
    /// Manifests that no tag or index holds; the time is since when. One with a living subject is
    /// among them until somebody has looked at it.
    pub manifests: Waiting,
}

/// Counts what waits, up to `limit` rows each.
///
/// # Errors
/// [`Fault`].
pub fn backlog<V: View + ?Sized>(view: &V, limit: usize) -> Result<Backlog, Fault> {
    let count = |prefix: &Prefix<Presence>| -> Result<Waiting, Fault> {
        let found = view.keys(prefix, &[], limit)?;
        let oldest_ms = found.first().and_then(|key| keys::split_number(key));
        Ok(Waiting {
            count: found.len() as u64,
            oldest_ms: oldest_ms.map(|(time_ms, _)| time_ms),
        })
    };
    Ok(Backlog {
        links: count(&keys::candidates())?,
        objects: count(&keys::all_reclaimable())?,
        manifests: count(&keys::all_unheld())?,
    })
}

/// Why a digest is kept in one repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The repository.
    pub repository: String,
    /// Manifests there that point at it, the first few.
    pub referenced_by: Vec<String>,
    /// Tags there that point at it, the first few.
    pub tags: Vec<String>,
    /// Until when its link is held without a reference, in cluster time; for a blob.
    pub hold_until_ms: Option<u64>,
    /// Since when nothing holds it, in cluster time; for a manifest.
    pub unheld_since_ms: Option<u64>,
    /// The subject that holds it, if it has one that is there; for a manifest.
    pub subject: Option<String>,
}

/// What is known of a digest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    /// The blob record.
    pub blob: Option<Blob>,
    /// Whether some repository holds a manifest of this digest.
    pub is_manifest: bool,
    /// Where it is kept, the first few repositories.
    pub kept: Vec<Kept>,
    /// Whether there are more repositories than named.
    pub has_more: bool,
}

/// Why a digest is kept: at most `limit` repositories, and as many names in each.
///
/// # Errors
/// [`Fault`].
pub fn explain<V: View + ?Sized>(
    view: &V,
    digest: &str,
    limit: usize,
) -> Result<Explanation, Fault> {
    let names = |prefix: &Prefix<Presence>, limit| -> Result<Vec<String>, Fault> {
        let found = view.keys(prefix, &[], limit)?;
        Ok(found.iter().map(|key| keys::last_part(key)).collect())
    };
    let as_manifest = names(&keys::holders_of_manifest(digest), limit + 1)?;
    let as_blob = names(&keys::holders_of_blob(digest), limit + 1)?;
    let mut explanation = Explanation {
        blob: view.row(&keys::blob(digest))?,
        is_manifest: !as_manifest.is_empty(),
        kept: Vec::new(),
        has_more: as_manifest.len() > limit || as_blob.len() > limit,
    };
    let mut repositories = as_manifest;
    repositories.extend(as_blob);
    repositories.sort();
    repositories.dedup();
    explanation.has_more |= repositories.len() > limit;
    repositories.truncate(limit);
    for repository in repositories {
        let manifest = view.row(&keys::manifest(&repository, digest))?;
        let link = view.row(&keys::link(&repository, digest))?;
        let referenced_by = names(&keys::references(&repository, digest), limit)?;
        let (mut subject, mut unheld_since_ms) = (None, None);
        if let Some(row) = manifest {
            if has_living_subject(view, &repository, &row)? {
                subject = Some(row.subject);
            } else {
                unheld_since_ms = row.unheld_since_ms;
            }
        }
        let hold = link.filter(|_| referenced_by.is_empty());
        explanation.kept.push(Kept {
            tags: names(&keys::tags_of(&repository, digest), limit)?,
            hold_until_ms: hold.map(|link| link.hold_until_ms),
            unheld_since_ms,
            referenced_by,
            subject,
            repository,
        });
    }
    Ok(explanation)
}
