//! The first-start check: tries everything that uploads and downloads need, and says by name what
//! is missing or set wrong.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use bytes::Bytes;
use tokio::time::timeout;
use uuid::Uuid;

use super::bucket::Bucket;
use super::failure::{Failure, code, status};
use super::requests::http_range;
use crate::error::{Error, Result};
use crate::limits::STORE_READ_TIME;
use crate::path::PROBE_PREFIX;

const CONTENT: &[u8] = b"roadstead looks whether it can store objects here";

/// Writes, looks at, reads, lists and deletes an object, and begins and ends an upload in parts.
pub(super) async fn run(bucket: &Bucket) -> Result<()> {
    let name = format!("{PROBE_PREFIX}{}", Uuid::new_v4());
    let (client, key) = (&bucket.client, bucket.key(&name));
    bucket
        .put_object(&name, Bytes::from_static(CONTENT))
        .await
        .map_err(|error| {
            // The first request: here settings show that are wrong for all of them.
            explained(bucket, "s3:PutObject", error)
        })?;
    let head = client
        .head_object()
        .bucket(bucket.name())
        .key(&key)
        .send()
        .await;
    let head = head.map_err(|error| asked(bucket, "s3:GetObject", error))?;
    if head.content_length() != i64::try_from(CONTENT.len()).ok() {
        return Err(not_a_store(
            bucket,
            "an object has another size than was written",
        ));
    }
    let get = client.get_object().bucket(bucket.name()).key(&key);
    let get = get.range(http_range(&(1..5))).send().await;
    let get = get.map_err(|error| asked(bucket, "s3:GetObject", error))?;
    let failed = |source| Error::Unavailable {
        subject: bucket.subject("read", &name),
        source,
    };
    let body = timeout(STORE_READ_TIME, get.body.collect()).await;
    let body = body.map_err(|elapsed| failed(elapsed.into()))?;
    let body = body.map_err(|error| failed(error.into()))?;
    if body.into_bytes() != CONTENT[1..5] {
        return Err(not_a_store(
            bucket,
            "a range yields other bytes than were written",
        ));
    }
    let list = client
        .list_objects_v2()
        .bucket(bucket.name())
        .prefix(&key)
        .send()
        .await;
    let list = list.map_err(|error| asked(bucket, "s3:ListBucket", error))?;
    if !list
        .contents()
        .iter()
        .any(|object| object.key() == Some(&key))
    {
        return Err(not_a_store(
            bucket,
            "an object is not listed after it was written",
        ));
    }
    let begun = client
        .create_multipart_upload()
        .bucket(bucket.name())
        .key(&key)
        .send()
        .await;
    let begun = begun.map_err(|error| asked(bucket, "s3:PutObject", error))?;
    let uploads = client
        .list_multipart_uploads()
        .bucket(bucket.name())
        .prefix(&key)
        .send()
        .await;
    uploads.map_err(|error| asked(bucket, "s3:ListBucketMultipartUploads", error))?;
    let upload = begun.upload_id().unwrap_or_default();
    let parts = client
        .list_parts()
        .bucket(bucket.name())
        .key(&key)
        .upload_id(upload);
    let parts = parts.send().await;
    parts.map_err(|error| asked(bucket, "s3:ListMultipartUploadParts", error))?;
    let end = client
        .abort_multipart_upload()
        .bucket(bucket.name())
        .key(&key)
        .upload_id(upload);
    let end = end.send().await;
    end.map_err(|error| asked(bucket, "s3:AbortMultipartUpload", error))?;
    let delete = client
        .delete_object()
        .bucket(bucket.name())
        .key(&key)
        .send()
        .await;
    delete.map_err(|error| asked(bucket, "s3:DeleteObject", error))?;
    Ok(())
}

fn not_a_store(bucket: &Bucket, reason: &str) -> Error {
    Error::Unsuitable {
        subject: bucket.subject("try", ""),
        reason: format!("{reason}; what listens there does not keep what S3 promises"),
        source: None,
    }
}

fn asked<E>(bucket: &Bucket, permission: &str, error: Failure<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let hint = hint(
        bucket,
        permission,
        code(&error).unwrap_or_default(),
        status(&error),
    );
    let is_refusal = matches!(error, SdkError::ServiceError(_));
    let error = bucket.failed("try", "", error);
    match hint {
        Some(reason) if is_refusal => unsuitable(bucket, reason, error),
        _ => explained(bucket, permission, error),
    }
}

/// An error of the store with what to do about it, as far as its words tell.
fn explained(bucket: &Bucket, permission: &str, error: Error) -> Error {
    let said = crate::error::with_sources(&error);
    let named = |names: &[&'static str]| names.iter().copied().find(|name| said.contains(name));
    let code = named(&[
        "InvalidAccessKeyId",
        "XAdminUserNotFound",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "Date is too old",
        "NoSuchBucket",
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "AccessDenied",
        "ExpiredToken",
        "InvalidToken",
        "InvalidBucketName",
    ]);
    let reason = if let Some(code) = code {
        hint(bucket, permission, code, None)
    } else if said.contains("certificate") || said.contains("TLS") || said.contains("UnknownIssuer")
    {
        Some(
            "its certificate cannot be verified; install the authority's certificate (or name it \
             in SSL_CERT_FILE), or set storage.s3.skipverify"
                .to_owned(),
        )
    } else if matches!(error, Error::PermissionDenied { .. }) {
        hint(bucket, permission, "AccessDenied", None)
    } else if said.contains("corrupt message") || said.contains("InvalidContentType") {
        Some("it does not speak TLS; is regionendpoint to begin with http://?".to_owned())
    } else if matches!(error, Error::Unavailable { .. }) {
        let endpoint = bucket.options.endpoint.as_ref();
        let place = endpoint.map_or("AWS", |endpoint| endpoint.as_str().trim_end_matches('/'));
        Some(format!(
            "nothing answers at {place} as S3 does; look at storage.s3.regionendpoint, and \
             whether the store runs and can be reached from here"
        ))
    } else {
        None
    };
    match reason {
        Some(reason) => unsuitable(bucket, reason, error),
        None => error,
    }
}

fn unsuitable(bucket: &Bucket, reason: String, error: Error) -> Error {
    Error::Unsuitable {
        subject: bucket.subject("try", ""),
        reason,
        source: Some(error.into()),
    }
}

/// What to do about an error, by the store's own word for it.
fn hint(bucket: &Bucket, permission: &str, code: &str, status: Option<u16>) -> Option<String> {
    let name = bucket.name();
    let reason = match (code, status) {
        ("InvalidAccessKeyId" | "XAdminUserNotFound", _) => {
            "the store does not know the key; look at storage.s3.accesskey".to_owned()
        }
        ("SignatureDoesNotMatch", _) => "the store refuses the signature; look at \
             storage.s3.secretkey and storage.s3.region"
            .to_owned(),
        ("RequestTimeTooSkewed" | "Date is too old", _) => {
            "the clocks of this machine and of the store differ by \
             more than 15 minutes; set them right"
                .to_owned()
        }
        ("NoSuchBucket", _) => format!(
            "there is no bucket {name}; create it, or look at storage.s3.bucket and \
             storage.s3.forcepathstyle"
        ),
        ("InvalidBucketName", _) => {
            format!("{name} is no name of a bucket; look at storage.s3.bucket")
        }
        ("AuthorizationHeaderMalformed" | "PermanentRedirect", _) | (_, Some(301)) => {
            "the bucket is in another region; look at storage.s3.region and \
             storage.s3.regionendpoint"
                .to_owned()
        }
        ("ExpiredToken" | "InvalidToken", _) => "the session token is not valid; look at \
             storage.s3.sessiontoken"
            .to_owned(),
        ("AccessDenied" | "Forbidden" | "AllAccessDisabled", _) | (_, Some(403)) => format!(
            "these credentials lack the permission {permission} on {name}, or are not those of \
             this store; look at storage.s3.accesskey and storage.s3.secretkey"
        ),
        _ => return None,
    };
    Some(reason)
}
