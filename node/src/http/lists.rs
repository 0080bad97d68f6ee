//! end-8, end-12 and the catalog: lists, in pages or streamed.

use actix_web::http::header::{CONTENT_TYPE, LINK};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::stream;
use roadstead_cluster::read::{NamedManifest, Page};
use roadstead_proto::media_type::OCI_IMAGE_INDEX;
use roadstead_proto::{Digest, RepositoryName};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::request::Query;
use super::response::OCI_FILTERS;
use super::server::Shared;
use crate::error::RegistryError;
use crate::limits::{
    CATALOG_PAGE, QUOTED_MAX, REFERRERS_BYTES_MAX, REFERRERS_LOOKED_AT_MAX, REFERRERS_PER_PAGE,
    REFERRERS_PER_READ, TAGS_PER_READ,
};
use crate::service::Registry;

/// The page size that is asked for.
fn page_size(query: &Query, max: usize) -> Result<Option<usize>, RegistryError> {
    let Some(text) = query.get("n") else {
        return Ok(None);
    };
    // Digits only: a sign would parse too. More digits than a number holds are just a large one.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        let found = text.chars().take(QUOTED_MAX).collect();
        return Err(RegistryError::PageInvalid { found, max });
    }
    Ok(Some(text.parse().unwrap_or(usize::MAX)))
}

/// Where the next page is.
fn next_link(path: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    format!("<{path}?{query}>; rel=\"next\"")
}

/// The list of repositories.
pub(super) async fn catalog(
    shared: &Shared,
    request: &HttpRequest,
) -> Result<HttpResponse, RegistryError> {
    let query = Query::of(request);
    let max = shared.registry.policy().catalog_entries_max;
    let size = page_size(&query, max)?.unwrap_or(CATALOG_PAGE.min(max));
    if size > max {
        return Err(RegistryError::PageInvalid {
            found: size.to_string(),
            max,
        });
    }
    let page = shared.registry.catalog(query.get("last"), size).await?;
    let mut response = HttpResponse::Ok();
    if let Some(last) = page.items.last().filter(|_| page.has_more) {
        let path = shared.locations.path("v2/_catalog");
        let size = size.to_string();
        response.insert_header((LINK, next_link(&path, &[("last", last), ("n", &size)])));
    }
    Ok(response.json(json!({ "repositories": page.items })))
}

/// end-8a: all tags, streamed. end-8b: a page of them.
pub(super) async fn tags(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
) -> Result<HttpResponse, RegistryError> {
    let query = Query::of(request);
    let max = shared.registry.policy().tags_max;
    let last = query.get("last").map(str::to_owned);
    let Some(size) = page_size(&query, max)? else {
        return all_tags(&shared.registry, name, last).await;
    };
    let size = size.min(max);
    let page = shared.registry.tags(name, last.as_deref(), size).await?;
    let mut response = HttpResponse::Ok();
    if let Some(last) = page.items.last().filter(|_| page.has_more) {
        let path = shared.locations.path(&format!("v2/{name}/tags/list"));
        let size = size.to_string();
        response.insert_header((LINK, next_link(&path, &[("last", last), ("n", &size)])));
    }
    Ok(response.json(json!({ "name": name.as_str(), "tags": page.items })))
}

/// Reads a page after the other and sends it, so that memory does not grow with the list.
async fn all_tags(
    registry: &Registry,
    name: &RepositoryName,
    last: Option<String>,
) -> Result<HttpResponse, RegistryError> {
    let first = registry.tags(name, last.as_deref(), TAGS_PER_READ).await?;
    let mut head = format!("{{\"name\":{},\"tags\":[", Value::from(name.as_str()));
    let mut next = list_part(&first, true, &mut head);
    let (registry, name) = (registry.clone(), name.clone());
    let rest = stream::unfold(next.take(), move |last| {
        let (registry, name) = (registry.clone(), name.clone());
        async move {
            let last = last?;
            match registry.tags(&name, Some(&last), TAGS_PER_READ).await {
                Ok(page) => {
                    let mut text = String::new();
                    let next = list_part(&page, false, &mut text);
                    Some((Ok(Bytes::from(text)), next))
                }
                // The connection breaks, so that a part is not taken for the whole.
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    let whole = futures::StreamExt::chain(stream::iter([Ok(Bytes::from(head))]), rest);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .streaming(whole))
}

/// Writes the tags of a page, and the end of the list after the last page. Returns where the next
/// one begins.
fn list_part(page: &Page<String>, is_first: bool, text: &mut String) -> Option<String> {
    for (index, tag) in page.items.iter().enumerate() {
        if index > 0 || !is_first {
            text.push(',');
        }
        text.push_str(&Value::from(tag.as_str()).to_string());
    }
    if page.has_more {
        return page.items.last().cloned();
    }
    text.push_str("]}");
    None
}

/// end-12: the manifests whose subject this is.
pub(super) async fn referrers(
    shared: &Shared,
    request: &HttpRequest,
    name: &RepositoryName,
    subject: &Digest,
) -> Result<HttpResponse, RegistryError> {
    let query = Query::of(request);
    let wanted = query.get("artifactType").filter(|text| !text.is_empty());
    let mut last = query.get("last").map(str::to_owned);
    let (mut manifests, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    // Pages may come out empty where a filter is set, so it looks on until one is full.
    let has_more = loop {
        let page = shared
            .registry
            .referrers(name, subject, last.as_deref(), REFERRERS_PER_READ);
        let page = page.await?;
        let is_wanted = |found: &NamedManifest| {
            wanted.is_none_or(|wanted| found.manifest.artifact_type == wanted)
        };
        let mut items = page.items.into_iter();
        for found in items.by_ref() {
            last = Some(found.digest.clone());
            looked_at += 1;
            if is_wanted(&found) {
                let descriptor = descriptor_of(found);
                bytes += descriptor.to_string().len();
                manifests.push(descriptor);
            }
            if bytes > REFERRERS_BYTES_MAX || manifests.len() >= REFERRERS_PER_PAGE {
                break;
            }
        }
        let is_full = bytes > REFERRERS_BYTES_MAX
            || manifests.len() >= REFERRERS_PER_PAGE
            || looked_at >= REFERRERS_LOOKED_AT_MAX;
        let more_follow = page.has_more || items.len() > 0;
        if is_full || !more_follow {
            break more_follow;
        }
        // The state is read in place: others get their turn between two looks.
        tokio::task::yield_now().await;
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, OCI_IMAGE_INDEX));
    let mut parameters = Vec::new();
    if let Some(wanted) = wanted {
        response.insert_header((OCI_FILTERS, "artifactType"));
        parameters.push(("artifactType", wanted));
    }
    if let Some(last) = last.as_deref().filter(|_| has_more) {
        let path = shared
            .locations
            .path(&format!("v2/{name}/referrers/{subject}"));
        parameters.push(("last", last));
        response.insert_header((LINK, next_link(&path, &parameters)));
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX,
        "manifests": manifests,
    });
    Ok(response.body(index.to_string()))
}

/// How a referrer stands in the answer.
fn descriptor_of(found: NamedManifest) -> Value {
    let NamedManifest { digest, manifest } = found;
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": digest,
        "size": manifest.size,
    });
    if !manifest.artifact_type.is_empty() {
        descriptor["artifactType"] = Value::from(manifest.artifact_type);
    }
    if !manifest.annotations.is_empty() {
        descriptor["annotations"] = json!(manifest.annotations);
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_escape_what_they_carry() {
        let link = next_link(
            "/v2/a/referrers/x",
            &[("artifactType", "a/b;c=\"d\""), ("last", "e")],
        );
        let expected = "</v2/a/referrers/x?artifactType=a%2Fb%3Bc%3D%22d%22&last=e>; rel=\"next\"";
        assert_eq!(link, expected);
    }

    #[test]
    fn parts_of_a_list_make_one_list() {
        let page = |items: &[&str], has_more| Page {
            items: items.iter().map(|item| (*item).to_owned()).collect(),
            has_more,
        };
        let mut text = "[".to_owned();
        assert_eq!(
            list_part(&page(&["a", "b"], true), true, &mut text).as_deref(),
            Some("b")
        );
        assert_eq!(list_part(&page(&["c"], false), false, &mut text), None);
        assert_eq!(text, r#"["a","b","c"]}"#);
        let mut text = "[".to_owned();
        assert_eq!(list_part(&page(&[], false), true, &mut text), None);
        assert_eq!(text, "[]}");
    }
}
