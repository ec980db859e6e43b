//! Plugins by reference: pushed to a real registry, pulled from it, believed only as far as their digests and signatures go, and run in pipes
//! that need neither the registry nor the store once they have loaded.

mod machine;
mod pipes;
mod trust;

use std::fs;

use machine::{Machine, change, digest, plugin_file, text};

#[test]
fn what_is_pushed_is_pulled_by_tag_and_by_digest() {
    let author = Machine::new();
    let pushed = author.push("mask", "1.0", &[]);
    assert_eq!(
        author.push("mask", "1.0", &[]),
        pushed,
        "the same file is the same artifact"
    );
    let by_digest = format!("{}@{}", author.reference("mask"), digest(&pushed));
    for reference in [author.reference("mask:1.0"), by_digest, pushed.clone()] {
        let operator = author.beside();
        let pulled = operator.tidemill(&["pull", &reference]).ok();
        assert_eq!(digest(&text(&pulled, "reference")), digest(&pushed));
        assert_eq!(
            (&*text(&pulled, "name"), &*text(&pulled, "version")),
            ("mask", "0.1.0")
        );
        let kept = fs::read(text(&pulled, "file")).unwrap();
        assert!(kept == fs::read(plugin_file("mask")).unwrap());
        assert_eq!(operator.stored().len(), 1);
        let inspected = operator.tidemill(&["inspect", &pushed]).ok();
        assert_eq!(
            format!("sha256:{}", text(&inspected, "digest")),
            text(&pulled, "digest")
        );
    }
    // The tag moves on; who has the digest doesn't.
    let other = plugin_file("filter");
    author
        .tidemill(&[
            "push",
            other.to_str().unwrap(),
            &author.reference("mask:1.0"),
        ])
        .ok();
    let pull = |reference: &str| text(&author.beside().tidemill(&["pull", reference]).ok(), "name");
    assert_eq!(pull(&author.reference("mask:1.0")), "filter");
    assert_eq!(pull(&pushed), "mask");
}

#[test]
fn what_is_no_plugin_is_neither_pushed_nor_pulled() {
    let author = Machine::new();
    let file = author.path("module.wasm");
    fs::write(&file, wat::parse_str("(module)").unwrap()).unwrap();
    let reference = author.reference("module:1");
    author
        .tidemill(&["push", file.to_str().unwrap(), &reference])
        .fails(5, &["core module"]);
    author
        .tidemill(&["pull", &reference])
        .fails(5, &[&reference, "there is no"]);
    // An artifact, but none of a plugin: signatures.
    author.keys("release");
    let key = author.path("release.key");
    let pushed = author.push("mask", "1", &["--sign", key.to_str().unwrap()]);
    let signatures = author.reference(&format!("mask:{}.sig", digest(&pushed).replace(':', "-")));
    author
        .tidemill(&["pull", &signatures])
        .fails(5, &["is no plugin", "simplesigning"]);
    assert!(author.stored().is_empty());
    for (reference, words) in [
        ("mask:1", "oci://host/repository:tag"),
        (&*pushed, "leave it out"),
    ] {
        let file = plugin_file("mask");
        author
            .tidemill(&["push", file.to_str().unwrap(), reference])
            .fails(5, &[words]);
    }
}

#[test]
fn what_was_changed_in_the_registry_is_refused() {
    let author = Machine::new();
    let pushed = author.push("columns", "1", &[]);
    let plugin = text(&author.tidemill(&["pull", &pushed]).ok(), "digest");
    let (manifest, plugin) = (author.blob(&digest(&pushed)), author.blob(&plugin));
    // A layer that is another test's, too: put back as it was.
    let whole = fs::read(&plugin).unwrap();
    change(&plugin);
    let changed = author.beside();
    let answer = changed.tidemill(&["pull", &pushed]);
    fs::write(&plugin, &whole[..whole.len() / 2]).unwrap();
    let cut = author.beside();
    let cut_answer = cut.tidemill(&["pull", &author.reference("columns:1")]);
    fs::write(&plugin, whole).unwrap();
    answer.fails(5, &["other bytes than sha256:", "thrown away"]);
    cut_answer.fails(5, &["other bytes than sha256:"]);
    assert!(changed.stored().is_empty() && cut.stored().is_empty());

    author.beside().tidemill(&["pull", &pushed]).ok();
    change(&manifest);
    let operator = author.beside();
    let answer = operator.tidemill(&["pull", &pushed]);
    change(&manifest);
    assert_eq!(answer.code, Some(5), "{answer:#?}");
    assert!(operator.stored().is_empty());
}

#[test]
fn what_was_changed_in_the_store_is_fetched_again() {
    let author = Machine::alone("");
    let pushed = author.push("mask", "1", &[]);
    author.tidemill(&["inspect", &pushed]).ok();
    let [file] = <[_; 1]>::try_from(author.stored()).unwrap();
    for _ in 0..2 {
        change(&file);
        author.tidemill(&["inspect", &pushed]).ok();
        assert!(fs::read(&file).unwrap() == fs::read(plugin_file("mask")).unwrap());
        fs::write(&file, "cut").unwrap();
        author.tidemill(&["inspect", &pushed]).ok();
    }
    author.stop_registry();
    author.tidemill(&["inspect", &pushed]).ok();
    change(&file);
    author
        .tidemill(&["inspect", &pushed])
        .fails(5, &[&author.registry(), "can't be reached"]);
}

#[test]
fn a_registry_that_asks_for_a_password_is_given_that_of_docker() {
    let author = Machine::alone("auth");
    let file = plugin_file("mask");
    let reference = author.reference("mask:1");
    let push = || author.tidemill(&["push", file.to_str().unwrap(), &reference]);
    push().fails(5, &[&author.registry(), "no credentials", "docker login"]);
    author.login("ship", "wrong-secret");
    let refused = push();
    assert!(
        !format!("{refused:?}").contains("wrong-secret"),
        "{refused:#?}"
    );
    refused.fails(5, &[&author.registry(), "user `ship` were refused"]);
    author.login("ship", "sail-away");
    let pushed = text(&push().ok(), "reference");
    author.tidemill(&["pull", &pushed]).ok();
    let stranger = author.beside();
    stranger
        .tidemill(&["pull", &pushed])
        .fails(5, &["docker login"]);
    fs::write(stranger.path("docker/config.json"), "{").unwrap();
    stranger
        .tidemill(&["pull", &pushed])
        .fails(5, &["config.json can't be used"]);
}
