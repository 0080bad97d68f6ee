//! A root of a test's own in the bucket, a registry on it, and a look at what lies there.

use std::collections::BTreeMap;
use std::time::Duration;

use roadstead_proto::Digest;
use roadstead_tests::{Bucket, Place, Proxy, Registry, Setup, wait};

/// Longer than deletes in the background take, and than the sweep needs for what a crash left.
const QUIET: Duration = Duration::from_secs(90);

/// The smallest parts that stores take, so that blobs of some megabytes have several.
pub(super) const PART_BYTES: usize = 5 << 20;

/// The collector flat out.
const COLLECTION: [(&str, &str); 4] = [
    ("REGISTRY_GC_GRACE", "1s"),
    ("REGISTRY_GC_READINGDELAY", "0s"),
    ("REGISTRY_GC_RATE", "100000"),
    ("REGISTRY_GC_SWEEP", "2s"),
];

/// What this suite does with a place in the bucket.
pub(super) trait Stage {
    /// A registry's configuration, which streams blobs itself.
    fn setup(&self) -> Setup;

    /// One that sends clients to the store, as is the default.
    fn redirecting(&self) -> Setup;

    /// The same as `setup` with the store behind the proxy.
    fn setup_behind(&self, proxy: &Proxy) -> Setup;

    /// The same with a bucket that may be told wrongly, and more lines for the driver.
    fn setup_by(&self, bucket: &Bucket, lines: &[&str]) -> Setup;

    /// Waits until exactly these blobs lie there, each once, and nothing of any upload.
    ///
    /// Nor anything else: beside the blobs there is the marker alone.
    fn holds_exactly(&self, digests: &[Digest]);
}

impl Stage for Place {
    fn setup(&self) -> Setup {
        self.setup_by(&self.bucket, &[])
    }

    fn redirecting(&self) -> Setup {
        Setup::empty()
            .with_blobs_in(self.clone())
            .with("http", "addr: 127.0.0.1:{port}")
            .with("cluster", "datadir: {folder}/metadata")
    }

    fn setup_behind(&self, proxy: &Proxy) -> Setup {
        self.setup_by(&self.bucket.by(&proxy.address()), &[])
    }

    fn setup_by(&self, bucket: &Bucket, lines: &[&str]) -> Setup {
        let mut setup = Setup::empty()
            .with("storage", &bucket.storage(&self.root))
            .with("storage", &format!("  chunksize: {PART_BYTES}"));
        for line in lines {
            setup = setup.with("storage", &format!("  {line}"));
        }
        let storage = "delete:\n  enabled: true\nredirect:\n  disable: true";
        setup
            .with("storage", storage)
            .with("http", "addr: 127.0.0.1:{port}")
            .with("cluster", "datadir: {folder}/metadata")
    }

    #[track_caller]
    fn holds_exactly(&self, digests: &[Digest]) {
        let below = format!("{}/", self.root);
        let settled = wait::poll(QUIET, || {
            let is_right = self.objects().len() == digests.len()
                && self.bucket.uploads(&below).is_empty()
                && self.bucket.objects(&below).len() == digests.len() + 1;
            is_right.then_some(())
        });
        let mut left: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for (key, digest) in self.digests() {
            left.entry(digest).or_default().push(key);
        }
        for digest in digests {
            let keys = left.remove(digest).unwrap_or_default();
            assert_eq!(keys.len(), 1, "{digest} lies under {keys:?}");
        }
        assert!(left.is_empty(), "nothing needs {left:?}");
        let uploads = self.bucket.uploads(&below);
        assert!(uploads.is_empty(), "unfinished: {uploads:?}");
        let beside = self.bucket.objects(&below);
        assert!(settled.is_some(), "not what was expected: {beside:?}");
    }
}

/// Has the collector run flat out from the next start on.
pub(super) fn collect_quickly(registry: &mut Registry) {
    for (name, value) in COLLECTION {
        registry.variable(name, value);
    }
}

/// Has uploads that nobody goes on with go soon, from the next start on.
pub(super) fn purge_quickly(registry: &mut Registry) {
    const PURGING: &str = "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING";
    for (name, value) in [("ENABLED", "true"), ("AGE", "2s"), ("INTERVAL", "2s")] {
        registry.variable(&format!("{PURGING}_{name}"), value);
    }
}
