//! Which settings there are, for finding the one that an environment variable means.
//!
//! Keys of the file are checked where they are read (`reader`); a test holds that both know the
//! same keys. Nothing here says what a value must look like.

/// What may stand at one place of the configuration.
#[derive(Debug)]
pub(super) enum Shape {
    /// A single value, or a list or map that only counts as a whole.
    Value,
    /// Anything at all, because nothing below is read.
    Any,
    /// Known keys.
    Section(&'static [Key]),
    /// Items of one shape.
    List(&'static Shape),
    /// Names that the operator chooses, lower-cased as Distribution does.
    Names(&'static Shape),
    /// Names that the operator chooses, in the letter case given: header names are shown to
    /// clients.
    NamesAsGiven(&'static Shape),
}

/// A known key of a section.
#[derive(Debug)]
pub(super) struct Key {
    /// The key as the file writes it.
    pub(super) name: &'static str,
    /// The name by which Distribution's environment variables know it: that of its Go field.
    pub(super) field: &'static str,
    /// What may stand under it.
    pub(super) shape: Shape,
}

const fn key(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        field: name,
        shape,
    }
}

const fn value(name: &'static str) -> Key {
    key(name, Shape::Value)
}

const fn any(name: &'static str) -> Key {
    key(name, Shape::Any)
}

const fn section(name: &'static str, keys: &'static [Key]) -> Key {
    key(name, Shape::Section(keys))
}

const fn list(name: &'static str, item: &'static Shape) -> Key {
    key(name, Shape::List(item))
}

/// A key whose Go field has another name than the file's key.
const fn renamed(field: &'static str, key: Key) -> Key {
    Key { field, ..key }
}

const HEADERS: Key = key("headers", Shape::NamesAsGiven(&Shape::List(&Shape::Value)));

/// The whole configuration.
pub(super) const ROOT: Shape = Shape::Section(&[
    value("version"),
    section(
        "log",
        &[
            section("accesslog", &[value("disabled")]),
            value("level"),
            value("formatter"),
            key("fields", Shape::Names(&Shape::Value)),
            list("hooks", &Shape::Any),
            value("reportcaller"),
        ],
    ),
    value("loglevel"),
    section("storage", STORAGE),
    section(
        "auth",
        &[any("none"), any("silly"), any("token"), any("htpasswd")],
    ),
    section(
        "middleware",
        &[
            list("registry", &Shape::Any),
            list("repository", &Shape::Any),
            list("storage", &Shape::Any),
        ],
    ),
    section("http", HTTP),
    section(
        "notifications",
        &[
            renamed("eventconfig", any("events")),
            list("endpoints", &Shape::Any),
        ],
    ),
    any("redis"),
    section("health", HEALTH),
    section("catalog", &[value("maxentries")]),
    section("tags", &[value("maxtags")]),
    section(
        "proxy",
        &[
            value("remoteurl"),
            value("username"),
            value("password"),
            any("exec"),
            value("ttl"),
            value("cachewritetimeout"),
        ],
    ),
    section("validation", VALIDATION),
    section("policy", &[any("repository")]),
    section(
        "cluster",
        &[
            value("datadir"),
            section("admin", &[value("addr")]),
            value("name"),
            value("listen"),
            value("advertise"),
            list("members", &Shape::Value),
            value("join"),
            section("tls", &[value("ca"), value("certificate"), value("key")]),
            value("insecure"),
            value("heartbeat"),
            section("election", &[value("min"), value("max")]),
            value("proposaltimeout"),
            section("reads", &[value("local_after"), value("stale_tags")]),
            value("featurelevel"),
            section("drain", &[value("notice"), value("timeout")]),
        ],
    ),
    section(
        "gc",
        &[
            value("grace"),
            value("rate"),
            value("readingdelay"),
            value("backupretention"),
            value("sweep"),
            section(
                "untagged",
                &[
                    value("policy"),
                    value("age"),
                    list("repositories", &Shape::Value),
                ],
            ),
        ],
    ),
]);

const STORAGE: &[Key] = &[
    section("filesystem", &[value("rootdirectory"), value("maxthreads")]),
    section("inmemory", &[]),
    value("reserve"),
    section("s3", S3),
    section("s3aws", S3),
    any("gcs"),
    any("azure"),
    any("swift"),
    any("oss"),
    any("tag"),
    any("cache"),
    section("delete", &[value("enabled")]),
    section("redirect", &[value("disable")]),
    section(
        "maintenance",
        &[
            section(
                "uploadpurging",
                &[
                    value("enabled"),
                    value("age"),
                    value("interval"),
                    value("dryrun"),
                ],
            ),
            section("readonly", &[value("enabled")]),
        ],
    ),
];

const S3: &[Key] = &[
    value("accelerate"),
    value("accesskey"),
    value("bucket"),
    value("buffermemory"),
    value("chunksize"),
    value("encrypt"),
    value("forcepathstyle"),
    value("keyid"),
    value("loglevel"),
    value("multipartcopychunksize"),
    value("multipartcopymaxconcurrency"),
    value("multipartcopythresholdsize"),
    value("objectacl"),
    value("redirectendpoint"),
    value("region"),
    value("regionendpoint"),
    value("rootdirectory"),
    value("secretkey"),
    value("secure"),
    value("sessiontoken"),
    value("skipverify"),
    value("storageclass"),
    value("usedualstack"),
    value("usefipsendpoint"),
    value("useragent"),
    value("v4auth"),
];

const HTTP: &[Key] = &[
    value("addr"),
    value("net"),
    value("prefix"),
    value("host"),
    value("secret"),
    value("relativeurls"),
    value("draintimeout"),
    section(
        "tls",
        &[
            value("certificate"),
            value("key"),
            list("clientcas", &Shape::Value),
            value("clientauth"),
            value("minimumtls"),
            list("ciphersuites", &Shape::Value),
            any("letsencrypt"),
        ],
    ),
    HEADERS,
    section(
        "debug",
        &[
            value("addr"),
            section("prometheus", &[value("enabled"), value("path")]),
        ],
    ),
    section("http2", &[value("disabled")]),
    section("h2c", &[value("enabled")]),
];

const HEALTH: &[Key] = &[
    section(
        "storagedriver",
        &[value("enabled"), value("interval"), value("threshold")],
    ),
    renamed(
        "filecheckers",
        list(
            "file",
            &Shape::Section(&[value("file"), value("interval"), value("threshold")]),
        ),
    ),
    renamed(
        "httpcheckers",
        list(
            "http",
            &Shape::Section(&[
                value("uri"),
                HEADERS,
                value("statuscode"),
                value("timeout"),
                value("interval"),
                value("threshold"),
            ]),
        ),
    ),
    renamed(
        "tcpcheckers",
        list(
            "tcp",
            &Shape::Section(&[
                value("addr"),
                value("timeout"),
                value("interval"),
                value("threshold"),
            ]),
        ),
    ),
];

const VALIDATION: &[Key] = &[
    value("enabled"),
    value("disabled"),
    section(
        "manifests",
        &[
            section(
                "urls",
                &[list("allow", &Shape::Value), list("deny", &Shape::Value)],
            ),
            section(
                "indexes",
                &[
                    value("platforms"),
                    list(
                        "platformlist",
                        &Shape::Section(&[value("architecture"), value("os")]),
                    ),
                ],
            ),
        ],
    ),
];

/// One step from a node of the tree to one below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the value of a known key.
    Key(&'static str),
    /// To the value under a name that the operator chose, in whatever letter case it stands.
    Name(String),
    /// To an item of a list, counted from zero.
    Index(usize),
}

impl Shape {
    /// The steps to the setting that the segments of a variable's name stand for.
    ///
    /// # Errors
    /// When there is no such setting: the number of segments that are right, and the names that
    /// could stand next.
    pub(super) fn find(&'static self, segments: &[&str]) -> Result<Vec<Step>, Unknown> {
        let mut shape = self;
        let mut steps = Vec::with_capacity(segments.len());
        let mut right = 0;
        while right < segments.len() {
            // A key may have a `_` itself, which is no reason to take it for two.
            let found = [1, 2].into_iter().find_map(|taken| {
                let segments = segments.get(right..right + taken)?;
                let (step, next) = shape.step(&segments.join("_"))?;
                Some((step, next, taken))
            });
            let known = shape.names();
            let (step, next, taken) = found.ok_or(Unknown { right, known })?;
            steps.push(step);
            shape = next;
            right += taken;
        }
        Ok(steps)
    }

    fn step(&'static self, segment: &str) -> Option<(Step, &'static Self)> {
        if segment.is_empty() {
            return None;
        }
        match self {
            Self::Value => None,
            Self::Any => Some((Step::Name(segment.to_lowercase()), self)),
            Self::Names(shape) => Some((Step::Name(segment.to_lowercase()), shape)),
            Self::NamesAsGiven(shape) => Some((Step::Name(segment.to_owned()), shape)),
            Self::List(shape) => {
                // Only plain digits: the standard parser would take a sign as well.
                let plain = segment.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| Some((Step::Index(segment.parse().ok()?), *shape)))?
            }
            Self::Section(keys) => {
                let same = |name: &str| name.eq_ignore_ascii_case(segment);
                let key = keys.iter().find(|key| same(key.name) || same(key.field))?;
                Some((Step::Key(key.name), &key.shape))
            }
        }
    }

    fn names(&'static self) -> Vec<&'static str> {
        match self {
            Self::Section(keys) => keys.iter().map(|key| key.name).collect(),
            _ => Vec::new(),
        }
    }
}

/// A variable's name that leads to no setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// How many segments from the left are right.
    pub(super) right: usize,
    /// The names that could stand after those.
    pub(super) known: Vec<&'static str>,
}
