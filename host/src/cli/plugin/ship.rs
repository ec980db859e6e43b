//! `tidemill plugin push`, `pull`, `sign` and `keygen`: from the author's machine to the operator's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;

use super::arguments::ShipCommand;
use super::host::Host;
use crate::cli::exit::{Exit, Failure};
use crate::cli::printer::Printer;
use crate::digest::Digest;
use crate::files::write_whole;
use crate::policy::Policy;
use crate::quote::visible;
use crate::registry::{
    self, About, Fetched, PrivateKey, Reference, RegistryError, Store, signature_file,
};
use crate::transform::{Plugin, read_plugin};

pub(super) fn run(command: &ShipCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        ShipCommand::Push {
            file,
            reference,
            sign,
            plain_http,
        } => push(file, reference, sign.as_deref(), *plain_http, printer)?,
        ShipCommand::Pull {
            reference,
            plain_http,
        } => pull(reference, *plain_http, printer)?,
        ShipCommand::Sign { file, key } => sign(file, key, printer)?,
        ShipCommand::Keygen { name } => keygen(name, printer)?,
    }
    Ok(Exit::Ok)
}

/// The plugin of a reference: from the store, or else from its registry.
pub(super) fn fetch(reference: &str, policy: &Policy) -> Result<Fetched, Failure> {
    let (reference, store) = (Reference::parse(reference)?, Store::of_user()?);
    Ok(wait(registry::fetch(&reference, policy, &store))??)
}

fn wait<F: Future>(work: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|cause| Failure::internal(&cause))?;
    Ok(runtime.block_on(work))
}

fn push(
    file: &Path,
    reference: &str,
    key: Option<&Path>,
    plain_http: bool,
    printer: &Printer,
) -> Result<(), Failure> {
    let reference = Reference::parse(reference)?;
    let private = key.map(PrivateKey::read).transpose()?;
    let bytes = read_plugin(file)?;
    let digest = Digest::of(&bytes);
    // What is no plugin is found here, and not by whoever pulls it.
    let plugin = Host::start()?.runtime.load_bytes(file, &bytes)?;
    let about = about(file, &plugin)?;
    let pushed = registry::push(&reference, bytes, &about, private.as_ref(), plain_http);
    let pushed = wait(pushed)??;
    let signed = match key {
        Some(key) => format!(", signed with {}", key.display()),
        None => String::new(),
    };
    let text = format!(
        "pushed {} {} ({} bytes){signed}\nplugin = \"{pushed}\"",
        plugin.name(),
        plugin.version(),
        plugin.size_bytes()
    );
    let result = json!({
        "reference": pushed.to_string(), "digest": digest.to_string(), "name": plugin.name(), "version": plugin.version(),
        "size_bytes": plugin.size_bytes(), "signed": private.is_some(),
    });
    printer.result(&pushed.to_string(), &visible(&text), &result);
    Ok(())
}

/// What the artifact says of a plugin.
fn about(file: &Path, plugin: &Arc<Plugin>) -> Result<About, Failure> {
    let written = std::fs::metadata(file).and_then(|metadata| metadata.modified());
    let written = written.unwrap_or(SystemTime::UNIX_EPOCH);
    let written = jiff::Timestamp::try_from(written).map_err(|cause| Failure::internal(&cause))?;
    let contract = plugin.contract_version();
    Ok(About {
        name: plugin.name().to_owned(),
        version: plugin.version().to_owned(),
        summary: plugin.summary().to_owned(),
        created: format!("{written:.0}"),
        exports: vec![format!("tidemill:transform/transform@{contract}")],
        imports: plugin.imports(),
    })
}

fn pull(reference: &str, plain_http: bool, printer: &Printer) -> Result<(), Failure> {
    let (reference, store) = (Reference::parse(reference)?, Store::of_user()?);
    let Host { policy, runtime } = Host::start()?;
    let pulled = wait(registry::pull(&reference, &policy, &store, plain_http))??;
    let plugin = runtime.load_bytes(&pulled.path, &pulled.bytes)?;
    let digest = Digest::of(&pulled.bytes);
    // The policy wouldn't have let it through otherwise.
    let verified = policy.wants_signature(&digest);
    let text = format!(
        "pulled {} {} ({} bytes, {digest}){}\nplugin = \"{}\"",
        plugin.name(),
        plugin.version(),
        plugin.size_bytes(),
        if verified {
            ", its signature verified"
        } else {
            ""
        },
        pulled.reference
    );
    let result = json!({
        "reference": pulled.reference.to_string(), "digest": digest.to_string(), "name": plugin.name(), "version": plugin.version(),
        "size_bytes": plugin.size_bytes(), "file": pulled.path, "signature_verified": verified,
    });
    printer.result(&pulled.reference.to_string(), &visible(&text), &result);
    Ok(())
}

fn sign(file: &Path, key: &Path, printer: &Printer) -> Result<(), Failure> {
    let key = PrivateKey::read(key)?;
    let signature = key.sign(&read_plugin(file)?);
    let path = signature_file(file);
    write(&path, 0o644, &format!("{signature}\n"))?;
    let text = format!("signed {}: {}", file.display(), path.display());
    printer.result(&text, &text, &json!({ "file": file, "signature": path }));
    Ok(())
}

/// Makes a pair of keys: `<name>.key`, which its owner alone can read, and `<name>.pub`.
fn keygen(name: &Path, printer: &Printer) -> Result<(), Failure> {
    let with = |ending: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let (private, public) = (with(".key"), with(".pub"));
    // A key that is lost can't be had back.
    if let Some(there) = [&private, &public].into_iter().find(|path| path.exists()) {
        return Err(Failure::usage(format!(
            "{} exists already; give another name",
            there.display()
        )));
    }
    let (private_text, public_text) = PrivateKey::generate()?.to_pem()?;
    write(&private, 0o600, &private_text)?;
    write(&public, 0o644, &public_text)?;
    let text = format!(
        "{} signs: keep it secret (`tidemill plugin push --sign`)\n{} verifies: name it in the policy's `keys`",
        private.display(),
        public.display()
    );
    let result = json!({ "private_key": private, "public_key": public });
    printer.result("a pair of keys", &text, &result);
    Ok(())
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), RegistryError> {
    write_whole(path, mode, &[text.as_bytes()]).map_err(|cause| RegistryError::File {
        path: path.to_owned(),
        cause,
    })
}
