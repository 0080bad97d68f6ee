//! end-4, end-5, end-6, end-11, end-13 and end-14: uploads.

use actix_web::http::header::{CONTENT_RANGE, LOCATION, RANGE};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use roadstead_proto::{Algorithm, ContentRange, Digest, RepositoryName, UploadId};

use super::body::{drain, pumped};
use super::request::{Query, content_length};
use super::response::{CONTENT_DIGEST, UPLOAD_UUID, range_of};
use super::server::Shared;
use crate::error::RegistryError;

/// What the client must know to go on.
fn progress(
    mut response: HttpResponseBuilder,
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    id: UploadId,
    offset: u64,
) -> HttpResponse {
    response
        .insert_header((LOCATION, shared.locations.upload(request, name, id)))
        .insert_header((RANGE, range_of(offset)))
        .insert_header((UPLOAD_UUID, id.to_string()))
        .finish()
}

fn created(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    digest: &Digest,
) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((LOCATION, shared.locations.blob(request, name, digest)))
        .insert_header((CONTENT_DIGEST, digest.as_str()))
        .finish()
}

/// end-4a, 4b, 4c and end-11: begins an upload, or has the blob there and then.
pub(super) async fn begin(
    shared: &Shared,
    request: &HttpRequest,
    payload: &mut Payload,
    name: &RepositoryName,
) -> Result<HttpResponse, RegistryError> {
    shared.registry.check_push()?;
    let query = Query::of(request);
    if let Some(digest) = query.get("mount") {
        let digest: Digest = digest.parse()?;
        let from = query.get("from").map(|from| from.parse()).transpose()?;
        if shared
            .registry
            .mount_blob(name, &digest, from.as_ref())
            .await?
        {
            return Ok(created(shared, request, name, &digest));
        }
    }
    let algorithm = match query.get("digest-algorithm") {
        Some(text) => text.parse()?,
        None => Algorithm::default(),
    };
    let uploads = shared.registry.uploads();
    if let Some(digest) = query.get("digest") {
        // end-4b: the whole blob in one request.
        let digest: Digest = digest.parse()?;
        let length = content_length(request);
        let work = |chunk| uploads.commit_at_once(name, &digest, chunk);
        pumped(shared.registry.space(), payload, None, length, work).await?;
        return Ok(created(shared, request, name, &digest));
    }
    let id = uploads.begin(name, algorithm).await?;
    drain(payload).await;
    Ok(progress(
        HttpResponse::Accepted(),
        shared,
        request,
        name,
        id,
        0,
    ))
}

/// end-5: takes in a chunk.
pub(super) async fn patch(
    shared: &Shared,
    request: &HttpRequest,
    payload: &mut Payload,
    name: &RepositoryName,
    id: UploadId,
) -> Result<HttpResponse, RegistryError> {
    shared.registry.check_push()?;
    let (start, length) = announced(request)?;
    let uploads = shared.registry.uploads();
    let work = |chunk| uploads.append(name, id, chunk);
    let offset = pumped(shared.registry.space(), payload, start, length, work).await?;
    Ok(progress(
        HttpResponse::Accepted(),
        shared,
        request,
        name,
        id,
        offset,
    ))
}

/// end-6: takes in a last chunk, if there is one, and makes the upload a blob.
pub(super) async fn put(
    shared: &Shared,
    request: &HttpRequest,
    payload: &mut Payload,
    name: &RepositoryName,
    id: UploadId,
) -> Result<HttpResponse, RegistryError> {
    shared.registry.check_push()?;
    let query = Query::of(request);
    let digest = query
        .get("digest")
        .ok_or(RegistryError::ParameterMissing("digest"))?;
    let digest: Digest = digest.parse()?;
    let (start, length) = announced(request)?;
    let uploads = shared.registry.uploads();
    let work = |chunk| uploads.commit(name, id, &digest, chunk);
    pumped(shared.registry.space(), payload, start, length, work).await?;
    Ok(created(shared, request, name, &digest))
}

/// end-13: where the upload is.
pub(super) async fn status(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    id: UploadId,
) -> Result<HttpResponse, RegistryError> {
    let offset = shared.registry.uploads().status(name, id).await?;
    Ok(progress(
        HttpResponse::NoContent(),
        shared,
        request,
        name,
        id,
        offset,
    ))
}

/// end-14: forgets the upload.
pub(super) async fn cancel(
    shared: &Shared,
    name: &RepositoryName,
    id: UploadId,
) -> Result<HttpResponse, RegistryError> {
    shared.registry.policy().check_write()?;
    shared.registry.uploads().cancel(name, id).await?;
    Ok(HttpResponse::NoContent()
        .insert_header((UPLOAD_UUID, id.to_string()))
        .finish())
}

/// Where the chunk begins and how long it is, as far as the request says; both must agree.
fn announced(request: &HttpRequest) -> Result<(Option<u64>, Option<u64>), RegistryError> {
    let length = content_length(request);
    let Some(range) = request.headers().get(CONTENT_RANGE) else {
        return Ok((None, length));
    };
    let range: ContentRange = range.to_str().unwrap_or_default().parse()?;
    match length {
        Some(actual) if actual != range.length() => Err(RegistryError::SizeMismatch {
            expected: range.length(),
            actual,
        }),
        _ => Ok((Some(range.start), Some(range.length()))),
    }
}
