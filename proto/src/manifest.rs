//! `Manifest`: what the registry must know of a pushed manifest.
//!
//! What is stored and served is the bytes as they came; this is what was read out of them once,
//! at the push. OCI image manifests and indexes, Docker schema 2 manifests and lists.
//! <https://github.com/opencontainers/image-spec/blob/main/manifest.md>

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::descriptor::{Platform, null_as_default};
use crate::digest::shorten;
use crate::limits::{DESCRIPTORS_MAX, NESTING_MAX};
use crate::media_type::{
    DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, MANIFESTS, OCI_IMAGE_INDEX, OCI_IMAGE_MANIFEST,
};
use crate::{Descriptor, Digest, MediaType};

/// A parsed manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its type: one of [`MANIFESTS`].
    pub media_type: MediaType,
    /// What it points at.
    pub content: Content,
    /// The manifest that this one refers to. It need not exist.
    pub subject: Option<Descriptor>,
    /// The type of the artifact, as the referrers API shows it: its own `artifactType`, else the
    /// config's media type.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An image or artifact: a config and layers, all of them blobs.
    Image {
        /// The configuration blob.
        config: Descriptor,
        /// The layers, lowest first.
        layers: Vec<Descriptor>,
    },
    /// An index or list of manifests.
    Index {
        /// The children.
        manifests: Vec<Descriptor>,
    },
}

/// Why bytes are not a manifest that can be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape that the type demands.
    #[error("the manifest does not parse: {0}")]
    Malformed(String),
    /// Nested deeper than [`NESTING_MAX`].
    #[error("the manifest is nested more than {NESTING_MAX} levels deep")]
    TooDeep,
    /// More than [`DESCRIPTORS_MAX`] descriptors.
    #[error("the manifest has {0} descriptors, more than {DESCRIPTORS_MAX}")]
    TooManyDescriptors(usize),
    /// A type that is not stored as a manifest.
    #[error(
        "manifests of type `{0}` are not supported; supported are OCI image manifests and \
         indexes, Docker schema 2 manifests and manifest lists"
    )]
    UnsupportedMediaType(String),
    /// The `Content-Type` and the `mediaType` inside disagree.
    #[error("the Content-Type is `{header}` but the mediaType in the manifest is `{body}`")]
    MediaTypeMismatch {
        /// What the request said.
        header: String,
        /// What the manifest says.
        body: String,
    },
    /// Both an image and an index, or neither: clients could read it in two ways.
    #[error("the manifest is ambiguous: `{0}` does not belong in one of its type")]
    Ambiguous(&'static str),
    /// A part that the type demands is absent.
    #[error("the manifest has no `{0}`")]
    Missing(&'static str),
}

/// One thing that must exist before a manifest may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement<'a> {
    /// Its digest.
    pub digest: &'a Digest,
    /// Whether it is a manifest (a child of an index) or a blob.
    pub is_manifest: bool,
    /// Whether the content may lie elsewhere, so that it need not exist here.
    pub is_optional: bool,
    /// The platform of an index entry.
    pub platform: Option<&'a Platform>,
}

impl<'a> Requirement<'a> {
    fn of_blob(descriptor: &'a Descriptor) -> Self {
        Self {
            digest: &descriptor.digest,
            is_manifest: false,
            is_optional: descriptor.media_type.is_non_distributable(),
            platform: None,
        }
    }
}

/// The fields of all types, as they stand in the JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    // Only in schema 1; such a document must not pass for another type.
    fs_layers: Option<serde::de::IgnoredAny>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Parses `body`, which was pushed with the `Content-Type` `declared`, if there was one.
    ///
    /// # Errors
    /// Any [`ManifestError`]; nothing about the body is trusted.
    pub fn parse(body: &[u8], declared: Option<&MediaType>) -> Result<Self, ManifestError> {
        if nesting(body) > NESTING_MAX {
            return Err(ManifestError::TooDeep);
        }
        if let Some(declared) = declared
            && !MANIFESTS.contains(&declared.as_str())
        {
            return Err(ManifestError::UnsupportedMediaType(shorten(
                declared.as_str(),
            )));
        }
        let document: Document = serde_json::from_slice(body)
            .map_err(|error| ManifestError::Malformed(shorten(&error.to_string())))?;
        let media_type = document.media_type(declared)?;
        if document.schema_version != Some(2) {
            return Err(ManifestError::Malformed(
                "`schemaVersion` must be 2".to_owned(),
            ));
        }
        document.into_manifest(media_type)
    }

    /// Everything that it points at, in order, duplicates included; the subject is not part.
    pub fn requirements(&self) -> Vec<Requirement<'_>> {
        match &self.content {
            Content::Image { config, layers } => std::iter::once(config)
                .chain(layers)
                .map(Requirement::of_blob)
                .collect(),
            Content::Index { manifests } => manifests
                .iter()
                .map(|child| Requirement {
                    digest: &child.digest,
                    is_manifest: true,
                    is_optional: false,
                    platform: child.platform.as_ref(),
                })
                .collect(),
        }
    }

    /// The layers, which alone may carry `urls`; none for an index.
    pub fn layers(&self) -> &[Descriptor] {
        match &self.content {
            Content::Image { layers, .. } => layers,
            Content::Index { .. } => &[],
        }
    }
}

impl Document {
    /// The one type that header and body agree on.
    fn media_type(&self, declared: Option<&MediaType>) -> Result<MediaType, ManifestError> {
        let sniffed = if self.manifests.is_some() {
            OCI_IMAGE_INDEX
        } else {
            OCI_IMAGE_MANIFEST
        };
        let media_type = match (declared, &self.media_type) {
            (Some(header), Some(body)) if header != body => {
                return Err(ManifestError::MediaTypeMismatch {
                    header: header.to_string(),
                    body: shorten(body.as_str()),
                });
            }
            (_, Some(media_type)) | (Some(media_type), None) => media_type.clone(),
            (None, None) => sniffed
                .parse()
                .map_err(|_| ManifestError::UnsupportedMediaType(sniffed.to_owned()))?,
        };
        if MANIFESTS.contains(&media_type.as_str()) {
            Ok(media_type)
        } else {
            Err(ManifestError::UnsupportedMediaType(shorten(
                media_type.as_str(),
            )))
        }
    }

    fn into_manifest(self, media_type: MediaType) -> Result<Manifest, ManifestError> {
        if self.fs_layers.is_some() {
            return Err(ManifestError::Ambiguous("fsLayers"));
        }
        let descriptors =
            self.layers.as_ref().map_or(0, Vec::len) + self.manifests.as_ref().map_or(0, Vec::len);
        if descriptors > DESCRIPTORS_MAX {
            return Err(ManifestError::TooManyDescriptors(descriptors));
        }
        let mut artifact_type = self.artifact_type;
        let content = match media_type.as_str() {
            OCI_IMAGE_MANIFEST | DOCKER_MANIFEST => {
                if self.manifests.is_some() {
                    return Err(ManifestError::Ambiguous("manifests"));
                }
                let config = self.config.ok_or(ManifestError::Missing("config"))?;
                // Referrers: "if the artifactType is empty or missing in the image manifest, the
                // value of artifactType MUST be set to the config descriptor mediaType value".
                if artifact_type.as_deref().unwrap_or_default().is_empty() {
                    artifact_type = Some(config.media_type.to_string());
                }
                let layers = self.layers.ok_or(ManifestError::Missing("layers"))?;
                Content::Image { config, layers }
            }
            OCI_IMAGE_INDEX | DOCKER_MANIFEST_LIST => {
                if self.layers.is_some() {
                    return Err(ManifestError::Ambiguous("layers"));
                }
                if self.config.is_some() {
                    return Err(ManifestError::Ambiguous("config"));
                }
                let manifests = self.manifests.ok_or(ManifestError::Missing("manifests"))?;
                Content::Index { manifests }
            }
            other => return Err(ManifestError::UnsupportedMediaType(other.to_owned())),
        };
        Ok(Manifest {
            media_type,
            content,
            subject: self.subject,
            artifact_type: artifact_type.filter(|text| !text.is_empty()),
            annotations: self.annotations,
        })
    }
}

/// The deepest nesting of objects and arrays, whatever the text is otherwise.
fn nesting(body: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":0}}"#)
    }

    fn image(extra: &str) -> String {
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]{extra}}}"#)
    }

    fn parse(body: &str, declared: Option<&str>) -> Result<Manifest, ManifestError> {
        let declared = declared.map(|text| text.parse::<MediaType>().unwrap());
        Manifest::parse(body.as_bytes(), declared.as_ref())
    }

    #[test]
    fn reads_all_four_types() {
        let child = descriptor(OCI_IMAGE_MANIFEST);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#);
        for (media_type, body, requirements) in [
            (OCI_IMAGE_MANIFEST, image(""), 1),
            (DOCKER_MANIFEST, image(""), 1),
            (OCI_IMAGE_INDEX, index.clone(), 1),
            (DOCKER_MANIFEST_LIST, index, 1),
        ] {
            let manifest = parse(&body, Some(media_type)).expect(media_type);
            assert_eq!(manifest.media_type.as_str(), media_type);
            assert_eq!(manifest.requirements().len(), requirements);
        }
    }

    #[test]
    fn sniffs_the_type_when_nothing_names_it() {
        let manifest = parse(&image(""), None).unwrap();
        assert_eq!(manifest.media_type.as_str(), OCI_IMAGE_MANIFEST);
        let manifest = parse(r#"{"schemaVersion":2,"manifests":null}"#, None);
        assert!(manifest.is_err(), "null is neither an index nor an image");
        let manifest = parse(r#"{"schemaVersion":2,"manifests":[]}"#, None).unwrap();
        assert_eq!(manifest.media_type.as_str(), OCI_IMAGE_INDEX);
    }

    #[test]
    fn takes_the_artifact_type_from_the_config_when_there_is_none() {
        let config = Some("application/vnd.oci.image.config.v1+json".to_owned());
        for (extra, expected) in [
            ("", config.clone()),
            (r#","artifactType":"""#, config),
            (r#","artifactType":"a/b""#, Some("a/b".to_owned())),
        ] {
            assert_eq!(
                parse(&image(extra), None).unwrap().artifact_type,
                expected,
                "{extra}"
            );
        }
    }

    #[test]
    fn accepts_null_where_go_writes_it() {
        let manifest = parse(&image(r#","annotations":null,"subject":null"#), None).unwrap();
        assert!(manifest.annotations.is_empty() && manifest.subject.is_none());
    }

    #[test]
    fn refuses_what_is_no_manifest() {
        let config = descriptor("a/b");
        let huge = config.replace(r#""size":0"#, r#""size":9223372036854775808"#);
        let negative = config.replace(r#""size":0"#, r#""size":-1"#);
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let many = vec![config.clone(); DESCRIPTORS_MAX + 1].join(",");
        let oci = Some(OCI_IMAGE_MANIFEST);
        for (name, body, declared) in [
            ("empty", String::new(), oci),
            ("not JSON", "<html>".to_owned(), oci),
            ("not an object", "[]".to_owned(), oci),
            ("trailing text", format!("{}x", image("")), oci),
            (
                "no schema version",
                format!(r#"{{"config":{config},"layers":[]}}"#),
                oci,
            ),
            (
                "schema 1",
                r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
                None,
            ),
            (
                "schema 1 by type",
                image(""),
                Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
            ),
            ("other type", image(""), Some("text/plain")),
            (
                "contradiction",
                image(r#","mediaType":"application/vnd.docker.distribution.manifest.v2+json""#),
                oci,
            ),
            ("both", image(r#","manifests":[]"#), oci),
            ("index with layers", image(""), Some(OCI_IMAGE_INDEX)),
            (
                "no config",
                r#"{"schemaVersion":2,"layers":[]}"#.to_owned(),
                oci,
            ),
            (
                "no layers",
                format!(r#"{{"schemaVersion":2,"config":{config}}}"#),
                oci,
            ),
            (
                "huge size",
                format!(r#"{{"schemaVersion":2,"config":{huge},"layers":[]}}"#),
                oci,
            ),
            (
                "negative size",
                format!(r#"{{"schemaVersion":2,"config":{negative},"layers":[]}}"#),
                oci,
            ),
            ("field twice", image(r#","layers":[]"#), oci),
            ("deep", image(&format!(r#","x":{deep}"#)), oci),
            (
                "many",
                format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{many}]}}"#),
                oci,
            ),
        ] {
            let error = parse(&body, declared).expect_err(name).to_string();
            assert!(error.len() < 400, "{name}: {error}");
        }
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        assert_eq!(nesting(br#"{"a":"[[[[\"[["}"#), 1);
        assert_eq!(nesting(br"[[]]]]]["), 2);
    }
}
