//! Questions that are asked of the state. Nothing here changes it.
//!
//! What is being deleted reads as absent.

use bytes::Bytes;
use roadstead_proto::rpc::state::{Blob, Manifest, Member, Repository, Settings, Upload};

use super::keys;
use super::view::{Fault, View, ViewExt};

/// A blob as one repository holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkedBlob {
    /// The blob: size, object key, damage.
    pub blob: Blob,
    /// Until when the link stays, if no manifest references it.
    pub hold_until_ms: Option<u64>,
}

/// A manifest with its name, as lists hold it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedManifest {
    /// The digest.
    pub digest: String,
    /// The row.
    pub manifest: Manifest,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Whether more follow.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// The first `limit` of `items`, of which one more than that was asked for.
    fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }
}

/// The repository, if it exists.
///
/// # Errors
/// [`Fault`]; so for all of these.
pub fn repository<V: View + ?Sized>(view: &V, name: &str) -> Result<Option<Repository>, Fault> {
    Ok(view
        .row(&keys::repository(name))?
        .filter(|row| !row.deleting))
}

/// At most `limit` names of repositories that come after `last` in ASCII order.
///
/// # Errors
/// [`Fault`].
pub fn repositories<V: View + ?Sized>(
    view: &V,
    last: Option<&str>,
    limit: usize,
) -> Result<Page<String>, Fault> {
    let prefix = keys::repositories();
    let mut from = last.map_or_else(Vec::new, after);
    let mut names = Vec::new();
    // Repositories that are being deleted are passed over, so that a page may take several looks.
    loop {
        let wanted = limit.saturating_add(1).saturating_sub(names.len());
        let rows = view.rows(&prefix, &from, wanted)?;
        let is_last = rows.len() < wanted;
        if let Some((key, _)) = rows.last() {
            from = [key.as_slice(), &[0]].concat();
        }
        let present = rows.into_iter().filter(|(_, row)| !row.deleting);
        names.extend(present.map(|(key, _)| keys::last_part(&key)));
        if is_last || names.len() > limit {
            return Ok(Page::cut(names, limit));
        }
    }
}

/// The first key after all keys that are exactly `text`.
fn after(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// Whether a whole repository is being deleted. The table that is asked is almost always empty.
fn is_deleting<V: View + ?Sized>(view: &V, repository: &str) -> Result<bool, Fault> {
    view.has(&keys::deletion(repository, ""))
}

/// At most `limit` tags of a repository that come after `last` in ASCII order.
///
/// # Errors
/// [`Fault`].
pub fn tags<V: View + ?Sized>(
    view: &V,
    repository: &str,
    last: Option<&str>,
    limit: usize,
) -> Result<Page<String>, Fault> {
    if is_deleting(view, repository)? {
        return Ok(Page::cut(Vec::new(), limit));
    }
    let prefix = keys::tags(repository);
    let from = last.map_or_else(Vec::new, |last| [prefix.at(last).as_slice(), &[0]].concat());
    let found = view.keys(&prefix, &from, limit.saturating_add(1))?;
    Ok(Page::cut(
        found.iter().map(|key| keys::last_part(key)).collect(),
        limit,
    ))
}

/// The digest that a tag points at.
///
/// # Errors
/// [`Fault`].
pub fn tag<V: View + ?Sized>(
    view: &V,
    repository: &str,
    tag: &str,
) -> Result<Option<String>, Fault> {
    if is_deleting(view, repository)? {
        return Ok(None);
    }
    Ok(view.row(&keys::tag(repository, tag))?.map(|row| row.digest))
}

/// A manifest of a repository.
///
/// # Errors
/// [`Fault`].
pub fn manifest<V: View + ?Sized>(
    view: &V,
    repository: &str,
    digest: &str,
) -> Result<Option<Manifest>, Fault> {
    if is_deleting(view, repository)? {
        return Ok(None);
    }
    Ok(view
        .row(&keys::manifest(repository, digest))?
        .filter(|row| !row.deleting))
}

/// The bytes of a manifest that some repository holds.
///
/// # Errors
/// [`Fault`].
pub fn manifest_body<V: View + ?Sized>(view: &V, digest: &str) -> Result<Bytes, Fault> {
    match view.row(&keys::manifest_body(digest))? {
        Some(row) => Ok(row.body),
        None => Err(Fault::Corrupt(format!("manifest {digest} has no body"))),
    }
}

/// A blob of a repository.
///
/// # Errors
/// [`Fault`].
pub fn blob<V: View + ?Sized>(
    view: &V,
    repository: &str,
    digest: &str,
) -> Result<Option<LinkedBlob>, Fault> {
    if is_deleting(view, repository)? {
        return Ok(None);
    }
    let Some(link) = view.row(&keys::link(repository, digest))? else {
        return Ok(None);
    };
    let Some(blob) = view.row(&keys::blob(digest))? else {
        return Err(Fault::Corrupt(format!(
            "{digest} is linked but has no blob record"
        )));
    };
    let is_referenced = view.any(&keys::references(repository, digest))?;
    let hold_until_ms = (!is_referenced).then_some(link.hold_until_ms);
    Ok(Some(LinkedBlob {
        blob,
        hold_until_ms,
    }))
}

/// At most `limit` repositories that hold a blob, in order.
///
/// # Errors
/// [`Fault`].
pub fn holders_of_blob<V: View + ?Sized>(
    view: &V,
    digest: &str,
    limit: usize,
) -> Result<Vec<String>, Fault> {
    let found = view.keys(&keys::holders_of_blob(digest), &[], limit)?;
    Ok(found.iter().map(|key| keys::last_part(key)).collect())
}

/// At most `limit` manifests whose subject is `subject` and whose digest comes after `last`.
///
/// # Errors
/// [`Fault`].
pub fn referrers<V: View + ?Sized>(
    view: &V,
    repository: &str,
    subject: &str,
    last: Option<&str>,
    limit: usize,
) -> Result<Page<NamedManifest>, Fault> {
    let prefix = keys::referrers(repository, subject);
    let mut from = last.map_or_else(Vec::new, |last| [prefix.at(last).as_slice(), &[0]].concat());
    let mut items = Vec::new();
    // Manifests that are being deleted are passed over, so that a page may take several looks.
    loop {
        let wanted = limit.saturating_add(1).saturating_sub(items.len());
        let found = view.keys(&prefix, &from, wanted)?;
        let is_last = found.len() < wanted;
        if let Some(key) = found.last() {
            from = [key.as_slice(), &[0]].concat();
        }
        for key in found {
            let digest = keys::last_part(&key);
            if let Some(manifest) = manifest(view, repository, &digest)? {
                items.push(NamedManifest { digest, manifest });
            }
        }
        if is_last || items.len() > limit {
            return Ok(Page::cut(items, limit));
        }
    }
}

/// An upload in progress.
///
/// # Errors
/// [`Fault`].
pub fn upload<V: View + ?Sized>(view: &V, upload: &str) -> Result<Option<Upload>, Fault> {
    view.row(&keys::upload(upload))
}

/// Whether a commit of this upload under this digest is remembered.
///
/// # Errors
/// [`Fault`].
pub fn is_committed<V: View + ?Sized>(view: &V, upload: &str, digest: &str) -> Result<bool, Fault> {
    view.has(&keys::committed(upload, digest))
}

/// At most `limit` deletions that are under way, as (repository, digest); the digest of a whole
/// repository's is empty.
///
/// # Errors
/// [`Fault`].
pub fn deletions<V: View + ?Sized>(view: &V, limit: usize) -> Result<Vec<(String, String)>, Fault> {
    let found = view.keys(&keys::deletions(), &[], limit)?;
    Ok(found
        .iter()
        .filter_map(|key| <[String; 2]>::try_from(keys::parts(key)).ok())
        .map(|[repository, digest]| (repository, digest))
        .collect())
}

/// What the whole cluster agrees on; `None` before it was founded.
///
/// # Errors
/// [`Fault`].
pub fn settings<V: View + ?Sized>(view: &V) -> Result<Option<Settings>, Fault> {
    view.row(&keys::settings())
}

/// A node that is of the cluster, or was.
///
/// # Errors
/// [`Fault`].
pub fn member<V: View + ?Sized>(view: &V, node: u64) -> Result<Option<Member>, Fault> {
    view.row(&keys::member(node))
}

/// All nodes that are of the cluster or were, by their ids.
///
/// # Errors
/// [`Fault`].
pub fn members<V: View + ?Sized>(view: &V) -> Result<Vec<(u64, Member)>, Fault> {
    // Members are few: a Raft group has a handful, and removed ones are counted in dozens.
    let rows = view.rows(&keys::members(), &[], usize::MAX)?;
    let numbered = rows.into_iter().map(|(key, member)| {
        let number = keys::split_number(&key);
        let (node, _) =
            number.ok_or_else(|| Fault::Corrupt("a key of `members` has no id".to_owned()))?;
        Ok((node, member))
    });
    numbered.collect()
}

/// The greatest cluster time that was applied.
///
/// # Errors
/// [`Fault`].
pub fn now_ms<V: View + ?Sized>(view: &V) -> Result<u64, Fault> {
    Ok(view.row(&keys::clock())?.unwrap_or_default().now_ms)
}
