//! Who a registry is told that we are: what `docker login` has left in Docker's `config.json`, or in the helper that it names.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

use super::error::RegistryError;

/// What a registry is given, and what an error says of it.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) auth: RegistryAuth,
    /// Why the registry may have refused them, and what to do.
    pub(super) when_refused: String,
}

/// The credentials of a registry (`host:port`); nobody's if there are none.
pub(super) fn of(registry: &str) -> Result<Credentials, RegistryError> {
    // Docker keeps those of its own registry under this name.
    let server = match registry {
        "docker.io" | "index.docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    };
    let login = format!("`docker login {registry}` keeps them in Docker's config.json");
    let anonymous = |why: &str| Credentials {
        auth: RegistryAuth::Anonymous,
        when_refused: format!("it was given no credentials, since {why}; {login}"),
    };
    let unusable = |why: String| RegistryError::Credentials {
        registry: registry.to_owned(),
        reason: format!("{why}; {login}"),
    };
    let Some(path) = config_file() else {
        return Ok(anonymous("this user has no home"));
    };
    let file = match File::open(&path) {
        Ok(file) => BufReader::new(file),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            return Ok(anonymous(&format!("there is no {}", path.display())));
        }
        Err(cause) => {
            return Err(unusable(format!(
                "{} can't be read: {cause}",
                path.display()
            )));
        }
    };
    match docker_credential::get_credential_from_reader(file, server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Credentials {
            when_refused: format!("the credentials of the user `{user}` were refused; {login}"),
            auth: RegistryAuth::Basic(user, password),
        }),
        Ok(DockerCredential::IdentityToken(_)) => Err(unusable(format!(
            "{} has an identity token, and Tidemill uses a user and a password",
            path.display()
        ))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => {
            Ok(anonymous(&format!("{} has none for it", path.display())))
        }
        // What a helper prints may hold the secret.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(unusable(format!("the credential helper `{helper}` failed")))
        }
        Err(cause) => Err(unusable(format!(
            "{} can't be used: {cause}",
            path.display()
        ))),
    }
}

/// Docker's own file: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
fn config_file() -> Option<PathBuf> {
    let folder = match std::env::var_os("DOCKER_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()?.join(".docker"),
    };
    Some(folder.join("config.json"))
}
