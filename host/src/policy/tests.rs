use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::*;

// Made by `openssl genpkey` and `openssl ecparam`; the signatures by `openssl pkeyutl -rawin` and `openssl dgst -sha256`.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGGyy4KMRIqoxHbnm4qJDWJhiENnxoWT94cDwRQTqvkc=
-----END PUBLIC KEY-----";
const ED25519_SIGNATURE: &str =
    "9qD05zq7TCB34YN9hWfNLb1BRxCAiB94/+WlYbAgYRQ5o3c9UKjM+jqfeRC//XQqCFEP0u6E9e6m0lW7WNBAAQ==";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEy/5ZXO3necKAA1ddu0ULdl6sdGaI
diYIYIVp0++eg5KeoAxjY0BIyYNVPRx8hkPNP6Z60e4VfeUk0gkDUsmxbQ==
-----END PUBLIC KEY-----";
const P256_SIGNATURE: &str = "MEQCIBgf6MvgJx8/cfkFWcMYGZYkfQN/QpUL5CNMPccdgihRAiBaMP0Zyp4HwzG5+EwYcZe/TJH2NoInk8NamZ8m321aZw==";
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC1GOu7EPSeXA5YgUrzA/GMWER2
zGgBw2Zv5lSBr1nvNO6fgFBmGhu8VCWovk1Zc3pc+urd28SdB3+Ii26kwFOP8QeQ
g99OKrMGf5Tlt5EfV/3U8UXZTztcZWfIr4ToMQXXfBZ0/zLmqXSB6NDIXhriSKHR
DAogw/X8uQGmS12v6wIDAQAB
-----END PUBLIC KEY-----";

/// A policy of this text, in a folder that has the key `release.pub`.
fn policy(text: &str) -> Result<Policy, PolicyError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("release.pub"), ED25519).unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(&path, text).unwrap();
    Policy::read(&path)
}

#[test]
fn without_a_file_any_plugin_runs_and_none_is_granted_anything() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::read_if_there(&folder.path().join("none.toml")).unwrap();
    for grant in [Grant::Environment, Grant::Files, Grant::Network] {
        assert!(!policy.allows(grant), "{grant}");
    }
    assert!(!policy.wants_signature(&Digest::of(b"")));
    policy.check_repository("anywhere.example/mask").unwrap();
    policy.check_path(Path::new("mask.wasm")).unwrap();
    let refused = policy.check_grant(Grant::Files).unwrap_err().to_string();
    for words in [
        "the default policy",
        "`files`",
        "plugins.allow",
        POLICY_FILE,
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
}

#[test]
fn a_file_that_is_named_must_be_there_and_one_that_can_t_be_looked_at_is_no_default() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("policy.toml");
    let error = Policy::read(&missing).unwrap_err().to_string();
    assert!(error.contains(missing.to_str().unwrap()), "{error}");
    std::os::unix::fs::symlink(folder.path().join("gone.toml"), &missing).unwrap();
    assert!(Policy::read_if_there(&missing).is_err());
    fs::remove_file(&missing).unwrap();
    // Neither a folder nor what lies below a file is a policy that isn't there.
    assert!(Policy::read_if_there(folder.path()).is_err());
    fs::write(&missing, "").unwrap();
    assert!(Policy::read_if_there(&missing.join("policy.toml")).is_err());
}

#[test]
fn what_the_file_says_holds() {
    let digest = Digest::of(b"listed");
    let policy = policy(&format!(
        "[plugins]\nrequire_signature = true\nkeys = [\"release.pub\", \"\"\"{P256}\"\"\"]\ndigests = [\"sha256:{}\"]\n\
         registries = [\"GHCR.io/acme/\", \"127.0.0.1:5000\"]\npaths = false\nallow = [\"environment\"]\nmax_size = \"1KiB\"\n",
        digest.hex().to_uppercase()
    ))
    .unwrap();
    assert!(policy.allows(Grant::Environment) && !policy.allows(Grant::Files));
    assert_eq!(policy.keys().len(), 2);
    assert!(!policy.wants_signature(&digest) && policy.wants_signature(&Digest::of(b"")));
    for (repository, allowed) in [
        ("ghcr.io/acme", true),
        ("ghcr.io/acme/mask", true),
        ("ghcr.io/acme-too/mask", false),
        ("ghcr.io/other", false),
        ("127.0.0.1:5000/mask", true),
        ("127.0.0.1:50001/mask", false),
    ] {
        assert_eq!(
            policy.check_repository(repository).is_ok(),
            allowed,
            "{repository}"
        );
    }
    assert!(policy.check_path(Path::new("mask.wasm")).is_err());
    assert!(policy.check_size("mask", 1024).is_ok() && policy.check_size("mask", 1025).is_err());
}

#[test]
fn an_error_names_file_line_and_key() {
    for (text, words) in [
        (
            "[plugins]\nreqire_signature = true\n",
            &["policy.toml:2:1", "reqire_signature"][..],
        ),
        ("[plugin]\n", &["policy.toml:1:2", "plugin"]),
        (
            "[plugins]\nallow = [\"everything\"]\n",
            &["policy.toml:2:10", "everything", "network"],
        ),
        (
            "[plugins]\nkeys = [\n  \"none.pub\",\n]\n",
            &["policy.toml:3:3", "plugins.keys[0]", "none.pub"],
        ),
        (
            "[plugins]\nkeys = [\"policy.toml\"]\n",
            &["policy.toml:2:9", "no PEM text"],
        ),
        (
            "[plugins]\nrequire_signature = true\n",
            &["policy.toml:2:1", "plugins.require_signature", "`keys`"],
        ),
        (
            "[plugins]\ndigests = [\"sha256:12\"]\n",
            &["policy.toml:2:12", "sha256:12", "64"],
        ),
        (
            "[plugins]\nregistries = [\"https://ghcr.io\"]\n",
            &["policy.toml:2:15", "https://ghcr.io"],
        ),
        (
            "[plugins]\nmax_size = \"large\"\n",
            &["policy.toml:2:1", "`large`"],
        ),
        (
            "[plugins]\nmax_size = \"0B\"\n",
            &["policy.toml:2:1", "`0B`"],
        ),
    ] {
        let error = policy(text).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn keys_of_other_tools_verify_their_signatures_and_no_others() {
    let signature = |text: &str| BASE64_STANDARD.decode(text).unwrap();
    for (pem, own, other) in [
        (ED25519, ED25519_SIGNATURE, P256_SIGNATURE),
        (P256, P256_SIGNATURE, ED25519_SIGNATURE),
    ] {
        let key = PublicKey::from_pem(pem).unwrap();
        let mut own = signature(own);
        assert!(key.verifies(b"a message", &own));
        assert!(!key.verifies(b"another message", &own));
        assert!(!key.verifies(b"a message", &signature(other)));
        assert!(!key.verifies(b"a message", b""));
        let last = own.len() - 1;
        own[last] ^= 1;
        assert!(!key.verifies(b"a message", &own));
    }
}

#[test]
fn what_is_no_key_is_told() {
    let weak = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode(
            [
                &hex::decode("302a300506032b6570032100").unwrap()[..],
                &[1],
                &[0; 31]
            ]
            .concat()
        )
    );
    for (pem, words) in [
        ("", "no PEM text"),
        (RSA, "1.2.840.113549.1.1.1"),
        (&ED25519.replace("PUBLIC", "PRIVATE"), "private key"),
        (&ED25519.replace("PUBLIC KEY", "CERTIFICATE"), "certificate"),
        (&weak, "damaged"),
    ] {
        let reason = PublicKey::from_pem(pem).unwrap_err();
        assert!(reason.contains(words), "{words}: {reason}");
    }
}

#[test]
fn tenants_plugins_come_from_registries_that_are_named_and_from_no_others() {
    let place = "ghcr.io/acme/mask";
    let open = policy("").unwrap();
    open.check_repository(place).unwrap();
    let refused = open.for_tenants().check_repository(place).unwrap_err();
    assert!(refused.to_string().contains("none at all"), "{refused}");
    let named = policy("[plugins]\nregistries = [\"ghcr.io/acme\"]").unwrap();
    named.for_tenants().check_repository(place).unwrap();
}

#[test]
fn what_pipes_may_reach_is_read_with_its_place() {
    let policy_of = |items: &str| policy(&format!("[service]\nreach = [{items}]\n"));
    let (host, address) = ("db.internal", "10.0.0.1:3306".parse().unwrap());
    let reach = policy_of(r#""db.internal:3306", "fd00::/8""#)
        .unwrap()
        .reach();
    assert!(reach.check(host, address).is_ok());
    assert!(reach.check("10.0.0.1", address).is_err());
    let error = policy_of(r#""10.0.0.0/8", "10.0.0.0/99""#)
        .unwrap_err()
        .to_string();
    for words in ["service.reach[1]", "10.0.0.0/99", "db.internal"] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn what_the_policy_denies_is_denied_whatever_it_lets_pipes_reach() {
    let policy_of = |deny: &str| {
        let text = format!("[service]\nreach = [\"10.0.0.0/8\"]\ndeny = [{deny}]\n");
        policy(&text)
    };
    let reach = policy_of(r#""10.0.0.9:22", "8.8.8.0/24", "2606:4700::/32""#)
        .unwrap()
        .reach();
    let check = |text: &str| {
        let address: std::net::SocketAddr = text.parse().unwrap();
        reach.check(&address.ip().to_string(), address)
    };
    for reached in ["10.0.0.9:3306", "8.8.4.4:443", "[2a00:1450::1]:443"] {
        assert!(check(reached).is_ok(), "{reached}");
    }
    for denied in [
        "10.0.0.9:22",
        "8.8.8.8:443",
        "[2606:4700::1]:1",
        "[::ffff:8.8.8.8]:443",
    ] {
        let error = check(denied).unwrap_err().to_string();
        assert!(error.contains("the operator denies it"), "{error}");
    }
    let error = policy_of(r#""10.0.0.9", "db.internal""#)
        .unwrap_err()
        .to_string();
    for words in ["service.deny[1]", "is a name", "networks"] {
        assert!(error.contains(words), "{words}: {error}");
    }
}
