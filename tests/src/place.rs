//! `Place`: a root of a test's own in the bucket, and what lies below it.
//!
//! Suites that are not about object stores keep blobs in a folder. `ROADSTEAD_SUITE_STORE=s3` has
//! them keep blobs in the bucket that `tests/stores/run` has made, and promise the same.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use roadstead_proto::Digest;

use crate::Bucket;
use crate::bucket::Object;
use crate::fixture;
use crate::folder::Objects;

const CHOICE: &str = "ROADSTEAD_SUITE_STORE";

/// A place in the bucket that nobody else uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: Bucket,
    /// What each key begins with, without slashes at its ends.
    pub root: String,
}

impl Place {
    /// A new one in the bucket that the environment names.
    ///
    /// # Panics
    /// When it names none.
    #[track_caller]
    pub fn fresh() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            bucket: Bucket::given(),
            // A name for each process: a bucket may serve several.
            root: format!("tests/{}/{number}", std::process::id()),
        }
    }

    /// A new one if this run is to keep blobs in a bucket.
    ///
    /// # Panics
    /// When that cannot be understood, or no bucket is named.
    #[track_caller]
    pub fn if_chosen() -> Option<Self> {
        match env::var(CHOICE) {
            Err(_) => None,
            Ok(choice) if choice == "filesystem" => None,
            Ok(choice) if choice == "s3" => Some(Self::fresh()),
            Ok(choice) => panic!("{CHOICE}={choice} is neither filesystem nor s3"),
        }
    }

    /// The lines of a configuration's section `storage`.
    pub fn storage(&self) -> String {
        self.bucket.storage(&self.root)
    }

    /// Where the blobs of a registry lie.
    pub fn prefix(&self) -> String {
        format!("{}/roadstead/v1/objects/", self.root)
    }

    /// Every object there: blobs, and what uploads have not finished.
    #[track_caller]
    pub fn objects(&self) -> Vec<Object> {
        self.bucket.objects(&self.prefix())
    }

    /// How many there are, and how many uploads the store has open.
    #[track_caller]
    pub fn counted(&self) -> Objects {
        Objects {
            finished: self.objects().len(),
            partial: self.bucket.uploads(&self.prefix()).len(),
        }
    }

    /// The digest of each, read and hashed.
    #[track_caller]
    pub fn digests(&self) -> Vec<(String, Digest)> {
        let objects = self.objects().into_iter();
        let hashed = objects.filter_map(|Object { key, .. }| {
            // It may have gone meanwhile.
            let told = self.bucket.ask("GET", &key, &[], b"");
            let digest = (told.status == 200).then(|| fixture::digest(&told.body))?;
            Some((key, digest))
        });
        hashed.collect()
    }
}
