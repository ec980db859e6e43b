//! A machine that plugins are shipped from and to: a store, a policy and credentials of its own, and a registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::servers::{self, Server};
use crate::support::world::{Answer, answer};
use crate::support::{World, root, tidemill, unique};

/// What every test's registry is, unless it ends it or wants one that asks for a password.
const SHARED: &str = "registry";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) struct Machine {
    folder: tempfile::TempDir,
    registry: Server,
    /// The registry's name, if it is this machine's alone.
    own: Option<String>,
    /// The beginning of its repositories.
    namespace: String,
}

impl Machine {
    /// With the registry that all tests share.
    pub(super) fn new() -> Self {
        Self::of(servers::start("registry", SHARED), None)
    }

    /// With a registry of its own.
    pub(super) fn alone(options: &str) -> Self {
        let name = unique("registry");
        let registry = servers::start_with("registry", &name, options);
        Self::of(registry, Some(name))
    }

    fn of(registry: Server, own: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("docker")).unwrap();
        fs::write(folder.path().join("policy.toml"), "").unwrap();
        let namespace = unique("acme").replace('_', "-");
        Self {
            folder,
            registry,
            own,
            namespace,
        }
    }

    /// Another one, with the same registry.
    pub(super) fn beside(&self) -> Self {
        let mut other = Self::of(self.registry.clone(), None);
        other.namespace.clone_from(&self.namespace);
        other
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn variables(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("TIDEMILL_PLUGIN_STORE", self.path("store")),
            ("TIDEMILL_POLICY", self.path("policy.toml")),
            ("DOCKER_CONFIG", self.path("docker")),
        ]
    }

    /// A world on this machine.
    pub(super) fn host(&self, world: World) -> World {
        let variables = self.variables().into_iter();
        variables.fold(world, |world, (name, path)| world.variable(name, path))
    }

    pub(super) fn tidemill(&self, arguments: &[&str]) -> Answer {
        let mut command = Command::new(tidemill());
        command.args(["--output", "json", "plugin"]).args(arguments);
        command.envs(self.variables()).stdin(Stdio::null());
        // Whatever proxy leads to the world, it isn't the way to this machine.
        command.env("http_proxy", "http://127.0.0.1:1");
        answer(command.output().unwrap())
    }

    /// `host:port`.
    pub(super) fn registry(&self) -> String {
        format!("127.0.0.1:{}", self.registry.get("port"))
    }

    /// A reference without a digest.
    pub(super) fn reference(&self, repository: &str) -> String {
        format!("oci://{}/{}/{repository}", self.registry(), self.namespace)
    }

    /// Pushes a plugin that comes with Tidemill; the reference with its digest.
    #[track_caller]
    pub(super) fn push(&self, plugin: &str, tag: &str, more: &[&str]) -> String {
        let (file, reference) = (
            plugin_file(plugin),
            self.reference(&format!("{plugin}:{tag}")),
        );
        let pushed = [&["push", file.to_str().unwrap(), &reference][..], more].concat();
        text(&self.tidemill(&pushed).ok(), "reference")
    }

    pub(super) fn policy(&self, plugins: &str) {
        fs::write(self.path("policy.toml"), format!("[plugins]\n{plugins}\n")).unwrap();
    }

    /// Makes a pair of keys, `<name>.key` and `<name>.pub`.
    #[track_caller]
    pub(super) fn keys(&self, name: &str) {
        self.tidemill(&["keygen", self.path(name).to_str().unwrap()])
            .ok();
    }

    pub(super) fn login(&self, user: &str, password: &str) {
        use base64::Engine;
        let auth = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
        let config = json!({ "auths": { self.registry(): { "auth": auth } } });
        fs::write(self.path("docker/config.json"), config.to_string()).unwrap();
    }

    /// Where the registry keeps the blob of a digest.
    pub(super) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.rsplit_once(':').map_or(digest, |(_, hex)| hex);
        let blobs = Path::new(self.registry.get("data")).join("docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// A repository's manifest, as other tools get it.
    pub(super) fn manifest(&self, repository: &str, tag: &str) -> serde_json::Value {
        let accept = format!("Accept: {MANIFEST}");
        let bytes = curl(&["-H", &accept, &self.manifest_url(repository, tag)]);
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Gives a repository's manifest another tag.
    pub(super) fn retag(&self, repository: &str, from: &str, to: &str) {
        let accept = format!("Accept: {MANIFEST}");
        let bytes = curl(&["-H", &accept, &self.manifest_url(repository, from)]);
        let file = self.path("manifest.json");
        fs::write(&file, bytes).unwrap();
        let (kind, body) = (
            format!("Content-Type: {MANIFEST}"),
            format!("@{}", file.display()),
        );
        let url = self.manifest_url(repository, to);
        curl(&["-X", "PUT", "-H", &kind, "--data-binary", &body, &url]);
    }

    fn manifest_url(&self, repository: &str, tag: &str) -> String {
        let (registry, namespace) = (self.registry(), &self.namespace);
        format!("http://{registry}/v2/{namespace}/{repository}/manifests/{tag}")
    }

    /// Files of the store.
    pub(super) fn stored(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path("store/sha256"));
        let files = files.into_iter().flatten().flatten();
        files.map(|file| file.path()).collect()
    }

    /// Ends its own registry.
    pub(super) fn stop_registry(&self) {
        servers::stop("registry", self.own.as_deref().unwrap());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            servers::remove("registry", own);
        }
    }
}

fn curl(arguments: &[&str]) -> Vec<u8> {
    let mut curl = Command::new("curl");
    let output = curl
        .args(["-sSf", "--noproxy", "*"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "curl {arguments:?}: {output:?}");
    output.stdout
}

pub(super) fn plugin_file(plugin: &str) -> PathBuf {
    root().join("target/plugins").join(format!("{plugin}.wasm"))
}

/// A text of a command's result.
#[track_caller]
pub(super) fn text(answer: &Answer, key: &str) -> String {
    answer.json["result"][key].as_str().unwrap().to_owned()
}

/// The digest at a reference's end.
pub(super) fn digest(reference: &str) -> String {
    reference.split_once('@').unwrap().1.to_owned()
}

/// Changes one byte of a file.
pub(super) fn change(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}
