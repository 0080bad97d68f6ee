//! end-2 and end-10: blobs.

use std::ops::Range;

use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE,
    LOCATION, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use roadstead_proto::{Digest, RepositoryName};

use super::connection::Lane;
use super::file_body::FileBody;
use super::response::{CONTENT_DIGEST, IMMUTABLE, LengthOnly, StreamedBlob, etag_matches, etag_of};
use super::server::Shared;
use crate::error::RegistryError;
use crate::limits::QUOTED_MAX;
use crate::service::OpenBlob;

fn with_headers(mut response: HttpResponseBuilder, digest: &Digest) -> HttpResponseBuilder {
    response
        .insert_header((CONTENT_DIGEST, digest.as_str()))
        .insert_header((ETAG, etag_of(digest.as_str())))
        .insert_header((CACHE_CONTROL, IMMUTABLE))
        .insert_header((ACCEPT_RANGES, "bytes"));
    response
}

/// end-2, `HEAD`.
pub(super) async fn head(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<HttpResponse, RegistryError> {
    let size = shared.registry.stat_blob(name, digest).await?;
    if etag_matches(request.headers().get(IF_NONE_MATCH), digest.as_str()) {
        return Ok(with_headers(HttpResponse::NotModified(), digest).finish());
    }
    let mut response = with_headers(HttpResponse::Ok(), digest);
    response.insert_header((CONTENT_TYPE, "application/octet-stream"));
    Ok(response.body(LengthOnly(size)))
}

/// end-2, `GET`: the blob, or the part of it that `Range` names; or where the store serves it.
pub(super) async fn get(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<HttpResponse, RegistryError> {
    let headers = request.headers();
    if etag_matches(headers.get(IF_NONE_MATCH), digest.as_str()) {
        shared.registry.stat_blob(name, digest).await?;
        return Ok(with_headers(HttpResponse::NotModified(), digest).finish());
    }
    let wanted = headers.get(RANGE).and_then(|value| value.to_str().ok());
    // With another tag in `If-Range`, or a weak one, the client gets the whole (RFC 9110, 13.1.5).
    let is_current = headers
        .get(IF_RANGE)
        .is_none_or(|value| value.as_bytes() == etag_of(digest.as_str()).as_bytes());
    let wanted = wanted.filter(|_| is_current);
    let pick = |size| match wanted {
        Some(text) => parse_range(text, size),
        None => Ok(None),
    };
    let (size, reader) = match shared.registry.open_blob(name, digest, pick).await? {
        OpenBlob::Here { size, reader } => (size, reader),
        OpenBlob::Elsewhere(url) => {
            // A key to the blob for as long as it is valid: nobody may keep it for others.
            return Ok(HttpResponse::TemporaryRedirect()
                .insert_header((LOCATION, url.as_str()))
                .insert_header((CONTENT_DIGEST, digest.as_str()))
                .insert_header((CACHE_CONTROL, "no-store"))
                .finish());
        }
    };
    let range = reader.range();
    let mut response = if pick(size)?.is_some() {
        let mut response = HttpResponse::PartialContent();
        let last = range.end - 1;
        response.insert_header((
            CONTENT_RANGE,
            format!("bytes {}-{last}/{size}", range.start),
        ));
        with_headers(response, digest)
    } else {
        with_headers(HttpResponse::Ok(), digest)
    };
    response.insert_header((CONTENT_TYPE, "application/octet-stream"));
    let length = range.end - range.start;
    let lane = request.conn_data::<Lane>().filter(|_| length > 0);
    let Some((lane, region)) = lane.zip(reader.file()) else {
        return Ok(response.body(StreamedBlob::new(length, reader.into_chunks())));
    };
    let body = FileBody::new(lane.clone(), region, reader);
    let sent = body.sent();
    let mut response = response.no_chunking(length).body(body);
    response.extensions_mut().insert(sent);
    Ok(response)
}

/// end-10.
pub(super) async fn delete(
    shared: &Shared,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<HttpResponse, RegistryError> {
    shared.registry.policy().check_delete()?;
    shared.registry.delete_blob(name, digest).await?;
    Ok(HttpResponse::Accepted()
        .insert_header((CONTENT_DIGEST, digest.as_str()))
        .finish())
}

/// The part of `size` bytes that a `Range` names; `None` for the whole.
///
/// Other units and several ranges are ignored, as RFC 9110 section 14.2 allows. What is out of
/// order or past the end is refused.
fn parse_range(text: &str, size: u64) -> Result<Option<Range<u64>>, RegistryError> {
    let refused = || RegistryError::RangeUnsatisfiable {
        range: text.chars().take(QUOTED_MAX).collect(),
        size,
    };
    // Units are case-insensitive (RFC 9110, 14.1).
    let set = match text.trim().split_once('=') {
        Some((unit, set)) if unit.eq_ignore_ascii_case("bytes") => set,
        _ => return Ok(None),
    };
    if set.contains(',') {
        return Ok(None);
    }
    let (first, last) = set.split_once('-').ok_or_else(refused)?;
    let (first, last) = (first.trim(), last.trim());
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return Err(refused());
    }
    // A number too large for 64 bits lies past every end.
    let number = |text: &str| text.parse().unwrap_or(u64::MAX);
    let range = match (first, last) {
        ("", "") => return Err(refused()),
        ("", suffix) => size.saturating_sub(number(suffix))..size,
        (first, "") => number(first)..size,
        (first, last) => number(first)..number(last).saturating_add(1).min(size),
    };
    let is_reversed = !first.is_empty() && !last.is_empty() && number(first) > number(last);
    if range.start >= range.end || is_reversed {
        Err(refused())
    } else {
        Ok(Some(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_rfc_and_refuse_what_cannot_be() {
        for (text, size, expected) in [
            ("bytes=0-9", 100, Some(Some(0..10))),
            ("bytes=90-200", 100, Some(Some(90..100))),
            ("bytes=90-", 100, Some(Some(90..100))),
            ("bytes=-10", 100, Some(Some(90..100))),
            ("bytes=-200", 100, Some(Some(0..100))),
            ("bytes=0-99999999999999999999999", 100, Some(Some(0..100))),
            ("bytes=99-99", 100, Some(Some(99..100))),
            ("items=0-1", 100, Some(None)),
            ("Bytes=0-1", 100, Some(Some(0..2))),
            ("bytes=0-1,5-6", 100, Some(None)),
            ("bytes=500-0", 100, None),
            ("bytes=100-", 100, None),
            ("bytes=100-200", 100, None),
            ("bytes=-0", 100, None),
            ("bytes=0-0", 0, None),
            ("bytes=-", 100, None),
            ("bytes=a-b", 100, None),
            ("bytes=5", 100, None),
        ] {
            assert_eq!(parse_range(text, size).ok(), expected, "{text} of {size}");
        }
    }
}
