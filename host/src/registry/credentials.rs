//! Who a registry is told that we are: what `docker login` has left in Docker's `config.json`, or in the helper that it names.

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
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Credentials {
            when_refused: format!("the credentials of the user `{user}` were refused; {login}"),
            auth: RegistryAuth::Basic(user, password),
        }),
        Ok(DockerCredential::IdentityToken(_)) => Err(unusable(
            "Docker's config.json has an identity token, and Tidemill uses a user and a password"
                .to_owned(),
        )),
        Err(CredentialRetrievalError::ConfigNotFound) => {
            Ok(anonymous("there is no config.json of Docker"))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => {
            Ok(anonymous("Docker's config.json has none for it"))
        }
        // What a helper prints may hold the secret.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(unusable(format!("the credential helper `{helper}` failed")))
        }
        Err(cause) => Err(unusable(format!(
            "Docker's config.json can't be used: {cause}"
        ))),
    }
}
