//! end-3, end-7 and end-9: manifests and tags.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use roadstead_proto::{MediaType, Reference, RepositoryName, Tag};
use tokio::time::timeout;

use super::body::read_manifest;
use super::request::{Query, content_length};
use super::response::{
    CONTENT_DIGEST, IMMUTABLE, LengthOnly, MAY_BE_OLD, NO_CACHE, OCI_SUBJECT, OCI_TAG,
    etag_matches, etag_of,
};
use super::server::Shared;
use crate::error::RegistryError;
use crate::limits::{MANIFEST_BYTES_MAX, MANIFEST_ROOM_TIME, TAGS_PER_PUT_MAX};
use crate::service::StoredManifest;

fn with_headers(
    mut response: HttpResponseBuilder,
    reference: &Reference,
    found: &StoredManifest,
) -> HttpResponseBuilder {
    let caching = match reference {
        Reference::Tag(_) => NO_CACHE,
        Reference::Digest(_) => IMMUTABLE,
    };
    response
        .insert_header((CONTENT_DIGEST, found.digest.as_str()))
        .insert_header((ETAG, etag_of(&found.digest)))
        .insert_header((CACHE_CONTROL, caching))
        // As it was pushed, whatever `Accept` says.
        .insert_header((CONTENT_TYPE, found.media_type.as_str()));
    if found.is_local && matches!(reference, Reference::Tag(_)) {
        response.insert_header(MAY_BE_OLD);
    }
    response
}

/// end-3, `HEAD`.
pub(super) async fn head(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<HttpResponse, RegistryError> {
    let found = shared.registry.stat_manifest(name, reference).await?;
    if etag_matches(request.headers().get(IF_NONE_MATCH), &found.digest) {
        return Ok(with_headers(HttpResponse::NotModified(), reference, &found).finish());
    }
    let mut response = with_headers(HttpResponse::Ok(), reference, &found);
    Ok(response.body(LengthOnly(found.size)))
}

/// end-3, `GET`.
pub(super) async fn get(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<HttpResponse, RegistryError> {
    let found = shared.registry.manifest(name, reference, true).await?;
    if etag_matches(request.headers().get(IF_NONE_MATCH), &found.digest) {
        return Ok(with_headers(HttpResponse::NotModified(), reference, &found).finish());
    }
    let mut response = with_headers(HttpResponse::Ok(), reference, &found);
    Ok(response.body(found.body))
}

/// end-7a and 7b.
pub(super) async fn put(
    shared: &Shared,
    request: &HttpRequest,
    payload: &mut Payload,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<HttpResponse, RegistryError> {
    shared.registry.check_push()?;
    let query = Query::of(request);
    let mut asked: Vec<Tag> = Vec::new();
    for text in query.all("tag") {
        let tag = text.parse()?;
        if !asked.contains(&tag) {
            asked.push(tag);
        }
        if asked.len() > TAGS_PER_PUT_MAX {
            return Err(RegistryError::TooManyTags(query.all("tag").count()));
        }
    }
    let mut tags = asked.clone();
    let expected = match reference {
        Reference::Tag(tag) => {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
            None
        }
        Reference::Digest(digest) => Some(digest),
    };
    let declared = declared_type(request)?;
    // What is announced as too large need not be read; what is not announced may be the largest.
    let length = content_length(request).unwrap_or(MANIFEST_BYTES_MAX as u64);
    let room = u32::try_from(length)
        .ok()
        .filter(|length| *length as usize <= MANIFEST_BYTES_MAX);
    let room = shared
        .manifest_room
        .acquire_many(room.ok_or(RegistryError::ManifestTooLarge)?);
    let Ok(Ok(_room)) = timeout(MANIFEST_ROOM_TIME, room).await else {
        return Err(RegistryError::TooMany("manifests"));
    };
    let body = read_manifest(payload).await?;
    let registry = &shared.registry;
    let pushed = registry
        .put_manifest(name, expected, &tags, declared.as_ref(), body)
        .await?;
    let mut response = HttpResponse::Created();
    response
        .insert_header((
            LOCATION,
            shared.locations.manifest(request, name, &pushed.digest),
        ))
        .insert_header((CONTENT_DIGEST, pushed.digest.as_str()));
    if let Some(subject) = &pushed.subject {
        response.insert_header((OCI_SUBJECT, subject.as_str()));
    }
    for tag in &asked {
        response.append_header((OCI_TAG, tag.as_str()));
    }
    Ok(response.finish())
}

/// end-9.
pub(super) async fn delete(
    shared: &Shared,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<HttpResponse, RegistryError> {
    shared.registry.policy().check_delete()?;
    shared.registry.delete_manifest(name, reference).await?;
    Ok(HttpResponse::Accepted().finish())
}

fn declared_type(request: &HttpRequest) -> Result<Option<MediaType>, RegistryError> {
    let Some(value) = request.headers().get(CONTENT_TYPE) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("(not text)");
    let parsed = text.parse::<MediaType>();
    parsed
        .map(Some)
        .map_err(|error| RegistryError::ManifestForbidden(error.to_string()))
}
