//! Deleting: what belongs to a key is found first, uploads in parts are ended one by one, and
//! objects go in requests of many.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::StreamExt;
use futures::stream;

use super::bucket::Bucket;
use super::failure::{code, status};
use super::listing::held;
use crate::error::{Error, Result};
use crate::limits::{STORE_DELETED_AT_ONCE, STORE_DELETES_AT_ONCE};
use crate::path::ObjectKey;

/// What of a key is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Everything,
    /// Not the object.
    Unfinished,
}

/// Removes what belongs to the keys, and answers for each of them.
pub(super) async fn remove(
    bucket: &Bucket,
    keys: Vec<ObjectKey>,
    wanted: Wanted,
) -> Vec<Result<()>> {
    let looks = keys
        .iter()
        .map(|key| end_uploads(bucket, key.as_str(), wanted));
    let looks: Vec<_> = looks.collect();
    let found: Vec<Result<Vec<String>>> = stream::iter(looks)
        .buffered(STORE_DELETES_AT_ONCE)
        .collect()
        .await;
    let names: Vec<String> = found.iter().flatten().flatten().cloned().collect();
    let mut removed = remove_objects(bucket, &names).await;
    let answer = |names: Result<Vec<String>>| {
        let mut answer = Ok(());
        for name in names? {
            // The last of several errors says as much as the first.
            answer = answer.and(removed.remove(&name).unwrap_or(Ok(())));
        }
        answer
    };
    found.into_iter().map(answer).collect()
}

/// Ends the uploads in parts of a key, and answers the names of the objects that are to go.
async fn end_uploads(bucket: &Bucket, name: &str, wanted: Wanted) -> Result<Vec<String>> {
    let held = held(bucket, name, wanted == Wanted::Everything).await?;
    for upload in held.uploads {
        let end = bucket.client.abort_multipart_upload().bucket(bucket.name());
        let end = end.key(bucket.key(name)).upload_id(upload);
        match end
            .send()
            .await
            .map_err(|error| bucket.failed("abort", name, error))
        {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held.names)
}

/// Removes objects by their names, and answers for each.
pub(super) async fn remove_objects(
    bucket: &Bucket,
    names: &[String],
) -> BTreeMap<String, Result<()>> {
    let mut answers = BTreeMap::new();
    for names in names.chunks(STORE_DELETED_AT_ONCE) {
        match names {
            [name] => {
                answers.insert(name.clone(), remove_one(bucket, name).await);
            }
            names => remove_many(bucket, names, &mut answers).await,
        }
    }
    answers
}

async fn remove_one(bucket: &Bucket, name: &str) -> Result<()> {
    let delete = bucket.client.delete_object().bucket(bucket.name());
    let answer = delete.key(bucket.key(name)).send().await;
    match answer.map_err(|error| bucket.failed("delete", name, error)) {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn remove_many(
    bucket: &Bucket,
    names: &[String],
    answers: &mut BTreeMap<String, Result<()>>,
) {
    let objects = names.iter().map(|name| {
        let object = ObjectIdentifier::builder().key(bucket.key(name));
        object.build()
    });
    let objects: Result<Vec<_>, _> = objects.collect();
    let delete = objects.and_then(|objects| {
        Delete::builder()
            .set_objects(Some(objects))
            .quiet(true)
            .build()
    });
    let delete = match delete {
        Ok(delete) => delete,
        Err(error) => return fail_all(bucket, names, &error.to_string(), answers),
    };
    let request = bucket
        .client
        .delete_objects()
        .bucket(bucket.name())
        .delete(delete);
    match request.send().await {
        Ok(answer) => {
            for name in names {
                answers.insert(name.clone(), Ok(()));
            }
            for failed in answer.errors() {
                if failed.code() == Some("NoSuchKey") {
                    continue;
                }
                let said = [failed.code(), failed.message()];
                let said = said.into_iter().flatten().collect::<Vec<_>>().join(": ");
                let Some(name) = failed.key().and_then(|key| bucket.name_of(key)) else {
                    // It may be any of them.
                    return fail_all(bucket, names, &said, answers);
                };
                answers.insert(name.to_owned(), Err(refused(bucket, name, &said)));
            }
        }
        // Some servers do not know this request, or want another checksum in it.
        Err(error) if matches!(status(&error), Some(400 | 405 | 411 | 501)) => {
            let code = code(&error).unwrap_or_default();
            tracing::debug!(code, "objects are deleted one by one");
            let deletes = names
                .iter()
                .map(|name| async move { (name.clone(), remove_one(bucket, name).await) });
            let deletes: Vec<_> = deletes.collect();
            let mut deleted = stream::iter(deletes).buffer_unordered(STORE_DELETES_AT_ONCE);
            while let Some((name, answer)) = deleted.next().await {
                answers.insert(name, answer);
            }
        }
        Err(error) => {
            let error = bucket.failed("delete objects of", "", error);
            let source = std::error::Error::source(&error).map(ToString::to_string);
            fail_all(
                bucket,
                names,
                &source.unwrap_or_else(|| error.to_string()),
                answers,
            );
        }
    }
}

fn refused(bucket: &Bucket, name: &str, reason: &str) -> Error {
    let (subject, source) = (bucket.subject("delete", name), reason.to_owned().into());
    if reason.starts_with("AccessDenied") {
        Error::PermissionDenied { subject, source }
    } else {
        Error::Unavailable { subject, source }
    }
}

fn fail_all(
    bucket: &Bucket,
    names: &[String],
    reason: &str,
    answers: &mut BTreeMap<String, Result<()>>,
) {
    for name in names {
        answers.insert(name.clone(), Err(refused(bucket, name, reason)));
    }
}
