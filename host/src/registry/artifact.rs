//! The artifact that a plugin is shipped in, in the layout that the CNCF gave WebAssembly: a configuration that says what the component is, and
//! one layer, the component itself.

use std::collections::BTreeMap;

use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde::Serialize;
use serde_json::json;

use crate::digest::Digest;

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// What an artifact's configuration and annotations say of its plugin.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    pub summary: String,
    /// When its file was written: RFC 3339. The same file becomes the same artifact.
    pub created: String,
    /// The interfaces that the component exports.
    pub exports: Vec<String>,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// An artifact: its blobs and the manifest that names them.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) manifest: String,
    pub(super) config: Vec<u8>,
    pub(super) plugin: Vec<u8>,
}

impl Artifact {
    pub(super) fn new(plugin: Vec<u8>, about: &About) -> Self {
        let layer = Digest::of(&plugin);
        let config = json!({
            "created": about.created, "architecture": "wasm", "os": "wasip2", "layerDigests": [layer.to_string()],
            "component": { "exports": about.exports, "imports": about.imports, "target": null },
        });
        let config = config.to_string().into_bytes();
        let annotations = BTreeMap::from([
            (
                "org.opencontainers.image.created".to_owned(),
                about.created.clone(),
            ),
            (
                "org.opencontainers.image.description".to_owned(),
                about.summary.clone(),
            ),
            (
                "org.opencontainers.image.title".to_owned(),
                about.name.clone(),
            ),
            (
                "org.opencontainers.image.version".to_owned(),
                about.version.clone(),
            ),
        ]);
        let manifest = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config: describe(CONFIG, &config),
            layers: vec![describe(LAYER, &plugin)],
            annotations: Some(annotations),
            ..OciImageManifest::default()
        };
        Self {
            manifest: text(&manifest),
            config,
            plugin,
        }
    }
}

/// A manifest as it is sent.
pub(super) fn text(manifest: &OciImageManifest) -> String {
    json!(manifest).to_string()
}

/// How a manifest names a blob.
pub(super) fn describe(media_type: &str, blob: &[u8]) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(blob).to_string(),
        size: i64::try_from(blob.len()).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

/// The layer with the plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The layer that a manifest names; or what the artifact is instead of a plugin.
pub(super) fn layer(manifest: &[u8]) -> Result<Layer, String> {
    let manifest: OciImageManifest = serde_json::from_slice(manifest)
        .map_err(|_| "its manifest is not that of an artifact".to_owned())?;
    let [layer] = manifest.layers.as_slice() else {
        return Err(format!(
            "it has {} layers instead of one",
            manifest.layers.len()
        ));
    };
    if layer.media_type != LAYER {
        let found = super::error::quote(&layer.media_type);
        return Err(format!("its layer is `{found}` instead of `{LAYER}`"));
    }
    match (Digest::parse(&layer.digest), u64::try_from(layer.size)) {
        (Some(digest), Ok(size)) if layer.digest.starts_with("sha256:") => {
            Ok(Layer { digest, size })
        }
        _ => Err("its layer has no SHA-256 or no size".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_has_the_layout_that_others_read() {
        let about = About {
            name: "mask".to_owned(),
            created: "2026-01-02T03:04:05Z".to_owned(),
            exports: vec!["tidemill:transform/transform@0.1.0".to_owned()],
            ..About::default()
        };
        let artifact = Artifact::new(b"plugin".to_vec(), &about);
        let manifest: serde_json::Value = serde_json::from_str(&artifact.manifest).unwrap();
        assert_eq!(manifest["schemaVersion"], 2);
        assert_eq!(
            manifest["mediaType"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        assert_eq!(
            manifest["config"]["mediaType"],
            "application/vnd.wasm.config.v0+json"
        );
        assert_eq!(
            manifest["config"]["digest"],
            Digest::of(&artifact.config).to_string()
        );
        assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
        let config: serde_json::Value = serde_json::from_slice(&artifact.config).unwrap();
        assert_eq!(
            (&config["architecture"], &config["os"]),
            (&json!("wasm"), &json!("wasip2"))
        );
        assert_eq!(
            config["layerDigests"],
            json!([Digest::of(b"plugin").to_string()])
        );
        assert_eq!(
            config["component"]["exports"][0],
            "tidemill:transform/transform@0.1.0"
        );
        let found = layer(artifact.manifest.as_bytes()).unwrap();
        assert_eq!(
            found,
            Layer {
                digest: Digest::of(b"plugin"),
                size: 6
            }
        );
        assert_eq!(
            Artifact::new(b"plugin".to_vec(), &about).manifest,
            artifact.manifest
        );
    }

    #[test]
    fn other_artifacts_are_told() {
        let manifest = |change: &dyn Fn(&mut OciImageManifest)| {
            let artifact = Artifact::new(b"plugin".to_vec(), &About::default());
            let mut manifest = serde_json::from_str(&artifact.manifest).unwrap();
            change(&mut manifest);
            text(&manifest)
        };
        for (text, why) in [
            ("nonsense".to_owned(), "manifest"),
            ("{}".to_owned(), "manifest"),
            (
                r#"{"schemaVersion": 2, "manifests": []}"#.to_owned(),
                "manifest",
            ),
            (manifest(&|manifest| manifest.layers.clear()), "0 layers"),
            (
                manifest(&|manifest| manifest.layers.push(OciDescriptor::default())),
                "2 layers",
            ),
            (
                manifest(&|manifest| manifest.layers[0].media_type = "tar\n".to_owned()),
                "`tar`",
            ),
            (
                manifest(&|manifest| manifest.layers[0].digest = "sha256:../../x".to_owned()),
                "SHA-256",
            ),
            (
                manifest(&|manifest| manifest.layers[0].size = -1),
                "no size",
            ),
        ] {
            let reason = layer(text.as_bytes()).unwrap_err();
            assert!(reason.contains(why), "{why}: {reason}");
        }
    }
}
