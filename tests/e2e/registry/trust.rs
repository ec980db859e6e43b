//! Who vouches for a plugin, and what the operator's policy allows.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::machine::{Machine, digest, plugin_file, text};

/// A machine whose policy wants a signature by `release.key`, and one that has that key and another.
fn author_and_operator() -> (Machine, Machine) {
    let author = Machine::new();
    author.keys("release");
    author.keys("other");
    let operator = author.beside();
    fs::copy(author.path("release.pub"), operator.path("release.pub")).unwrap();
    operator.policy("require_signature = true\nkeys = [\"release.pub\"]");
    (author, operator)
}

#[test]
fn only_what_the_operator_s_key_has_signed_is_pulled() {
    let (author, operator) = author_and_operator();
    let key = |name: &str| author.path(name).to_str().unwrap().to_owned();
    let unsigned = author.push("mask", "1", &[]);
    operator
        .tidemill(&["pull", &unsigned])
        .fails(5, &["policy.toml", "needs a signature", "it has none"]);
    author.push("mask", "1", &["--sign", &key("other.key")]);
    operator
        .tidemill(&["pull", &unsigned])
        .fails(5, &["by others"]);
    // Another plugin's signature, under this one's name.
    let other = author.reference("mask:2");
    let file = plugin_file("filter");
    let other = author
        .tidemill(&[
            "push",
            file.to_str().unwrap(),
            &other,
            "--sign",
            &key("release.key"),
        ])
        .ok();
    let tag = |reference: &str| format!("{}.sig", digest(reference).replace(':', "-"));
    author.retag("mask", &tag(&text(&other, "reference")), &tag(&unsigned));
    operator
        .tidemill(&["pull", &unsigned])
        .fails(5, &["of another artifact"]);
    assert!(operator.stored().is_empty());

    // A second signature doesn't take the first one's place.
    author.push("mask", "1", &["--sign", &key("other.key")]);
    let signed = author.push("mask", "1", &["--sign", &key("release.key")]);
    assert_eq!(signed, unsigned);
    let pulled = operator.tidemill(&["pull", &signed]).ok();
    assert_eq!(pulled.json["result"]["signature_verified"], true);
    operator.tidemill(&["inspect", &signed]).ok();
    // The key is taken back: what is in the store counts no more.
    fs::copy(author.path("other.pub"), operator.path("release.pub")).unwrap();
    operator.tidemill(&["inspect", &signed]).ok();
    author.keys("third");
    fs::copy(author.path("third.pub"), operator.path("release.pub")).unwrap();
    operator
        .tidemill(&["inspect", &signed])
        .fails(5, &["by others"]);
}

#[test]
fn keys_and_signatures_are_those_of_other_tools() {
    let (author, operator) = author_and_operator();
    let (private, public) = (author.path("openssl.pem"), operator.path("release.pub"));
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
    };
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &path(&private)]);
    openssl(&[
        "pkey",
        "-in",
        &path(&private),
        "-pubout",
        "-out",
        &path(&public),
    ]);
    let signed = author.push("mask", "1", &["--sign", &path(&private)]);
    operator.tidemill(&["pull", &signed]).ok();
    // What lies in the registry, verified by the other tool.
    let signatures = author.manifest(
        "mask",
        &format!("{}.sig", digest(&signed).replace(':', "-")),
    );
    let layer = &signatures["layers"][0];
    let signature = &layer["annotations"]["dev.cosignproject.cosign/signature"];
    let signature_bytes = BASE64_STANDARD.decode(signature.as_str().unwrap()).unwrap();
    let (message, signature) = (
        author.blob(layer["digest"].as_str().unwrap()),
        author.path("signature"),
    );
    fs::write(&signature, signature_bytes).unwrap();
    openssl(&[
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        &path(&public),
        "-rawin",
        "-in",
        &path(&message),
        "-sigfile",
        &path(&signature),
    ]);
}

#[test]
fn the_policy_says_from_where_and_how_large() {
    let author = Machine::new();
    let pushed = author.push("mask", "1", &[]);
    let operator = author.beside();
    operator.policy("registries = [\"ghcr.io/acme\"]");
    operator
        .tidemill(&["pull", &pushed])
        .fails(5, &["policy.toml", &author.registry(), "ghcr.io/acme"]);
    operator.policy(&format!("registries = [\"{}\"]", author.registry()));
    operator.tidemill(&["pull", &pushed]).ok();
    let small = author.beside();
    small.policy("max_size = \"1KiB\"");
    small
        .tidemill(&["pull", &pushed])
        .fails(5, &["bytes", "1024", "max_size"]);
    assert!(small.stored().is_empty());
    operator.policy("max_size = \"1KiB\"");
    operator
        .tidemill(&["inspect", &pushed])
        .fails(5, &["max_size"]);
}

#[test]
fn a_policy_that_can_t_be_used_is_told_and_nothing_runs() {
    let machine = Machine::new();
    let pushed = machine.push("mask", "1", &[]);
    machine.policy("require_signatures = true");
    machine
        .tidemill(&["pull", &pushed])
        .fails(3, &["policy.toml:2:1", "require_signatures"]);
    fs::remove_file(machine.path("policy.toml")).unwrap();
    machine
        .tidemill(&["pull", &pushed])
        .fails(3, &["policy.toml", "can't be read"]);
    assert!(machine.stored().is_empty());
}

#[test]
fn a_key_is_never_written_over_and_its_owner_s_alone() {
    use std::os::unix::fs::MetadataExt;
    let machine = Machine::new();
    machine.keys("release");
    let mode = fs::metadata(machine.path("release.key")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    let path = machine.path("release");
    machine
        .tidemill(&["keygen", path.to_str().unwrap()])
        .fails(2, &["exists already"]);
}
