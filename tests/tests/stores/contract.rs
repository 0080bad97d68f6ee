//! The contract of every driver, kept by the S3 driver on this store.

use std::sync::Arc;

use roadstead_storage::contract::{self, Differences};
use roadstead_storage::s3::{Credentials, Options};
use roadstead_storage::{BlobStore, S3};
use roadstead_tests::{Bucket, Place};

use super::stage::PART_BYTES;

fn options(place: &Place) -> Options {
    let Bucket {
        server: _,
        endpoint,
        region,
        name,
        access_key,
        secret_key,
    } = place.bucket.clone();
    Options {
        bucket: name,
        region: Some(region),
        endpoint: Some(endpoint.parse().expect("the endpoint is a URL")),
        public_endpoint: None,
        force_path_style: true,
        credentials: Some(Credentials {
            access_key,
            secret_key,
            session_token: None,
        }),
        root: place.root.clone(),
        is_secure: false,
        skip_verify: false,
        encrypt: false,
        key_id: None,
        storage_class: None,
        object_acl: None,
        use_dual_stack: false,
        accelerate: false,
        user_agent: None,
        log_requests: false,
        chunk_bytes: PART_BYTES as u64,
        buffer_bytes: 64 << 20,
    }
}

async fn fresh() -> Arc<dyn BlobStore> {
    let store = S3::open(options(&Place::fresh())).await;
    Arc::new(store.expect("the store can be opened"))
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    let differences = Differences {
        refuses_used_keys: false,
        refuses_live_writers: false,
        gives_redirect_urls: true,
        seals_small_objects: true,
    };
    contract::run_all(fresh, &differences).await;
}
