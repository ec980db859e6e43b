//! The conversation with a registry: what is asked for, what comes back, and how much of it is believed.
//!
//! Nothing that a registry says is believed without its digest, and it gets so much time and so many bytes. Logging in and sending are the
//! client library's, reading is [`reading`](super::reading)'s. A reply that the library stumbles over ends the conversation, not the process.

use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::{Client, RegistryOperation};
use tokio::sync::OnceCell;

use super::artifact::{self, Artifact};
use super::credentials::{self, Credentials};
use super::error::{RegistryError, quote};
use super::reading::{Login, Reader, Refusal};
use super::reference::Reference;
use super::signature::Signed;
use super::store::DOCUMENT_BYTES;
use crate::digest::Digest;

pub(super) const USER_AGENT: &str = concat!("tidemill/", env!("CARGO_PKG_VERSION"));
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Between two bytes of an answer.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// For logging in, whose reply the client library reads to its end.
const LOGIN: Duration = Duration::from_secs(20);
/// For a whole conversation.
const CONVERSATION: Duration = Duration::from_secs(600);

/// What `cosign` calls the document that it signs, and where it puts the signature.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Largest document that is signed, and most signatures of an artifact that are looked at.
const PAYLOAD_BYTES: u64 = 64 << 10;
const SIGNATURES: usize = 32;

/// A plugin as a registry sent it; every digest is right.
#[derive(Debug)]
pub(super) struct Pulled {
    /// The manifest's digest.
    pub(super) digest: Digest,
    pub(super) manifest: Vec<u8>,
    pub(super) plugin: Vec<u8>,
}

/// A registry, as it is asked for one reference.
#[derive(Clone)]
pub(super) struct Registry {
    client: Client,
    reader: Reader,
    reference: Reference,
    credentials: std::sync::Arc<Credentials>,
    /// Whom it is told to be reading, once it was asked.
    login: std::sync::Arc<OnceCell<Login>>,
}

impl Registry {
    /// Prepares the conversation; nobody is asked yet. Plain HTTP is spoken on loopback, and elsewhere only if `plain_http` says so.
    pub(super) fn of(reference: &Reference, plain_http: bool) -> Result<Self, RegistryError> {
        // The client needs one in the process; that there is one already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = plain_http || reference.is_loopback();
        let mut config = ClientConfig {
            protocol: match plain {
                true => ClientProtocol::HttpsExcept(vec![reference.registry().to_owned()]),
                false => ClientProtocol::Https,
            },
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: USER_AGENT,
            platform_resolver: None,
            ..ClientConfig::default()
        };
        if reference.is_loopback() {
            // A proxy of the environment would be asked for its own loopback. One that is for no host keeps the client from looking for it.
            config.http_proxy = Some("http://127.0.0.1".to_owned());
            config.no_proxy = Some("localhost,127.0.0.0/8,::1".to_owned());
        }
        let client = Client::try_from(config).map_err(|cause| RegistryError::Failed {
            registry: reference.registry().to_owned(),
            reason: cause.to_string(),
        })?;
        Ok(Self {
            client,
            reader: Reader::of(reference, plain)?,
            reference: reference.clone(),
            credentials: credentials::of(reference.registry())?.into(),
            login: std::sync::Arc::default(),
        })
    }

    /// Fetches a plugin of at most so many bytes; `allowed` is asked when its size is known, and before it is fetched.
    pub(super) async fn pull(
        &self,
        allowed: impl FnOnce(u64) -> Result<(), RegistryError>,
    ) -> Result<Pulled, RegistryError> {
        let reference = &self.reference;
        let manifest = self.manifest(reference).await?;
        let layer = artifact::layer(&manifest).map_err(|reason| RegistryError::NotAPlugin {
            reference: reference.to_string(),
            reason,
        })?;
        allowed(layer.size)?;
        let plugin = self.blob(&layer.digest, layer.size).await?;
        Ok(Pulled {
            digest: Digest::of(&manifest),
            manifest,
            plugin,
        })
    }

    /// What was signed of the artifact with this manifest, by whomever; nothing if nobody has.
    pub(super) async fn signatures(&self, manifest: &Digest) -> Result<Vec<Signed>, RegistryError> {
        let Some(document) = self.signature_manifest(manifest).await? else {
            return Ok(Vec::new());
        };
        let mut signatures = Vec::new();
        let signed = document.layers.iter().filter_map(|layer| {
            let signature = layer.annotations.as_ref()?.get(SIGNATURE)?;
            let size = u64::try_from(layer.size).ok()?;
            let fits = layer.media_type == PAYLOAD && size <= PAYLOAD_BYTES;
            fits.then_some((Digest::parse(&layer.digest)?, size, signature))
        });
        for (digest, size, signature) in signed.take(SIGNATURES) {
            let payload = self.blob(&digest, size).await?;
            if let Ok(payload) = String::from_utf8(payload) {
                signatures.push(Signed {
                    payload,
                    signature: signature.clone(),
                });
            }
        }
        Ok(signatures)
    }

    /// Sends an artifact, and gives it the reference's tag; the digest of its manifest.
    pub(super) async fn push(&self, artifact: Artifact) -> Result<Digest, RegistryError> {
        self.send(artifact.config).await?;
        self.send(artifact.plugin).await?;
        self.send_manifest(&self.reference, artifact.manifest).await
    }

    /// Adds a signature to those of the artifact with this manifest.
    pub(super) async fn push_signature(
        &self,
        manifest: &Digest,
        signed: Signed,
    ) -> Result<(), RegistryError> {
        let mut document = self.signature_manifest(manifest).await?.unwrap_or_default();
        let payload = signed.payload.into_bytes();
        let annotations = [(SIGNATURE.to_owned(), signed.signature)].into();
        let layer = OciDescriptor {
            annotations: Some(annotations),
            ..artifact::describe(PAYLOAD, &payload)
        };
        let is_same = |other: &OciDescriptor| {
            other.digest == layer.digest && other.annotations == layer.annotations
        };
        if document.layers.iter().any(is_same) {
            return Ok(());
        }
        document.layers.push(layer);
        let digests: Vec<&str> = document
            .layers
            .iter()
            .map(|layer| layer.digest.as_str())
            .collect();
        // An image's configuration, since that is what the tools expect beside signatures.
        let config = serde_json::json!({
            "architecture": "", "os": "", "config": {}, "created": "0001-01-01T00:00:00Z",
            "rootfs": { "type": "layers", "diff_ids": digests },
        });
        let config = config.to_string().into_bytes();
        document.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
        document.config = artifact::describe(IMAGE_CONFIG, &config);
        self.send(config).await?;
        self.send(payload).await?;
        let tag = self.reference.tagged(&signature_tag(manifest));
        self.send_manifest(&tag, artifact::text(&document)).await?;
        Ok(())
    }

    async fn signature_manifest(
        &self,
        manifest: &Digest,
    ) -> Result<Option<OciImageManifest>, RegistryError> {
        let tag = self.reference.tagged(&signature_tag(manifest));
        let bytes = match self.manifest(&tag).await {
            Err(RegistryError::NotThere { .. }) => return Ok(None),
            manifest => manifest?,
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| RegistryError::NotAPlugin {
                reference: tag.to_string(),
                reason: "its signatures are in no form that is known".to_owned(),
            })
    }

    /// A manifest, whose digest is right if the reference has one.
    async fn manifest(&self, reference: &Reference) -> Result<Vec<u8>, RegistryError> {
        let login = self.login().await?;
        let ask = self
            .reader
            .manifest(reference, OCI_IMAGE_MEDIA_TYPE, login, DOCUMENT_BYTES);
        let bytes = self.read(reference, ask).await?;
        if bytes.len() as u64 > DOCUMENT_BYTES {
            return Err(self.failed(format!(
                "its manifest has more bytes than one may have, which is {DOCUMENT_BYTES}"
            )));
        }
        match reference.digest() {
            Some(digest) => self.whole(bytes, digest, reference),
            None => Ok(bytes),
        }
    }

    /// A blob of this size, whose digest is right.
    async fn blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, RegistryError> {
        let (login, name) = (self.login().await?, digest.to_string());
        let ask = self.reader.blob(&name, login, size);
        let bytes = self.read(&self.reference, ask).await?;
        self.whole(bytes, digest, &self.reference)
    }

    /// Bytes that have this digest; others are thrown away.
    fn whole(
        &self,
        bytes: Vec<u8>,
        digest: &Digest,
        reference: &Reference,
    ) -> Result<Vec<u8>, RegistryError> {
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(RegistryError::Tampered {
                reference: reference.to_string(),
                digest: digest.to_string(),
            }),
        }
    }

    async fn login(&self) -> Result<&Login, RegistryError> {
        let log_in = async || {
            let (inner, auth) = (
                self.reference.inner().clone(),
                self.credentials.auth.clone(),
            );
            let ask = async move |client: Client| {
                client.auth(&inner, &auth, RegistryOperation::Pull).await
            };
            let token = self.talk(&self.reference, LOGIN, ask).await?;
            Ok(Login::of(token, &self.credentials.auth))
        };
        self.login.get_or_try_init(log_in).await
    }

    /// Reads something, in so much time.
    async fn read(
        &self,
        reference: &Reference,
        ask: impl Future<Output = Result<Vec<u8>, Refusal>>,
    ) -> Result<Vec<u8>, RegistryError> {
        let read = tokio::time::timeout(CONVERSATION, ask).await;
        let read = read.map_err(|_| self.too_slow(CONVERSATION))?;
        let registry = self.reference.registry().to_owned();
        read.map_err(|refusal| match refusal {
            Refusal::Credentials => self.refused(),
            Refusal::NotThere => RegistryError::NotThere {
                reference: reference.to_string(),
            },
            Refusal::Unreachable(reason) => RegistryError::Unreachable { registry, reason },
            Refusal::Failed(reason) => RegistryError::Failed { registry, reason },
        })
    }

    /// Sends a blob that the registry doesn't have yet.
    async fn send(&self, bytes: Vec<u8>) -> Result<(), RegistryError> {
        let (inner, auth) = (
            self.reference.inner().clone(),
            self.credentials.auth.clone(),
        );
        let digest = Digest::of(&bytes).to_string();
        let ask = async move |client: Client| {
            client.auth(&inner, &auth, RegistryOperation::Push).await?;
            if !client.blob_exists(&inner, &digest).await? {
                client.push_blob(&inner, bytes, &digest).await?;
            }
            Ok(())
        };
        self.talk(&self.reference, CONVERSATION, ask).await
    }

    async fn send_manifest(
        &self,
        reference: &Reference,
        manifest: String,
    ) -> Result<Digest, RegistryError> {
        let (inner, digest) = (reference.inner().clone(), Digest::of(manifest.as_bytes()));
        let ask = async move |client: Client| {
            let kind = OCI_IMAGE_MEDIA_TYPE
                .parse()
                .map_err(|_| OciDistributionError::GenericError(Some("a media type".to_owned())))?;
            client.push_manifest_raw(&inner, manifest, kind).await?;
            Ok(())
        };
        self.talk(reference, CONVERSATION, ask).await?;
        Ok(digest)
    }

    /// Does a part of the conversation in so much time, in a task of its own: the client library panics at some replies.
    async fn talk<T: Send + 'static, F>(
        &self,
        reference: &Reference,
        time: Duration,
        ask: impl FnOnce(Client) -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, OciDistributionError>> + Send + 'static,
    {
        let task = tokio::spawn(tokio::time::timeout(time, ask(self.client.clone())));
        match task.await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(self.error(reference, error)),
            Ok(Err(_)) => Err(self.too_slow(time)),
            Err(_) => Err(self.failed("its reply is in no form that is known".to_owned())),
        }
    }

    fn failed(&self, reason: String) -> RegistryError {
        RegistryError::Failed {
            registry: self.reference.registry().to_owned(),
            reason,
        }
    }

    fn too_slow(&self, time: Duration) -> RegistryError {
        self.failed(format!("it was not done within {} seconds", time.as_secs()))
    }

    fn refused(&self) -> RegistryError {
        RegistryError::Credentials {
            registry: self.reference.registry().to_owned(),
            reason: self.credentials.when_refused.clone(),
        }
    }

    /// An error of the client, in our words.
    fn error(&self, reference: &Reference, error: OciDistributionError) -> RegistryError {
        let registry = self.reference.registry().to_owned();
        let reference = reference.to_string();
        if is_refusal(&error) {
            return self.refused();
        }
        if is_absence(&error) {
            return RegistryError::NotThere { reference };
        }
        match error {
            OciDistributionError::RequestError(cause) => RegistryError::Unreachable {
                registry,
                reason: quote(&chain(&cause)),
            },
            error => self.failed(quote(&error.to_string())),
        }
    }
}

/// The tag of an artifact's signatures.
fn signature_tag(manifest: &Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

fn has_code(error: &OciDistributionError, codes: &[OciErrorCode]) -> bool {
    matches!(error, OciDistributionError::RegistryError { envelope, .. }
        if envelope.errors.iter().any(|error| codes.contains(&error.code)))
}

/// The status of an answer, where that is the error.
fn status(error: &OciDistributionError) -> Option<u16> {
    match error {
        OciDistributionError::ServerError { code, .. } => Some(*code),
        OciDistributionError::RequestError(error) => Some(error.status()?.as_u16()),
        _ => None,
    }
}

fn is_refusal(error: &OciDistributionError) -> bool {
    matches!(
        error,
        OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_)
    ) || matches!(status(error), Some(401 | 403))
        || has_code(error, &[OciErrorCode::Unauthorized, OciErrorCode::Denied])
}

fn is_absence(error: &OciDistributionError) -> bool {
    let codes = [
        OciErrorCode::BlobUnknown,
        OciErrorCode::ManifestUnknown,
        OciErrorCode::NameUnknown,
        OciErrorCode::NotFound,
    ];
    matches!(error, OciDistributionError::ImageManifestNotFoundError(_))
        || status(error) == Some(404)
        || has_code(error, &codes)
}

/// An error with its causes: the outermost alone says that a request failed.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
