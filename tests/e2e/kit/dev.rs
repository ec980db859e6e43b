//! `plugin dev`: a good save is built and shown, a bad one leaves the last good build where it is.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Author;

/// A running `plugin dev`, and the lines that it prints.
struct Dev {
    child: Child,
    lines: Receiver<String>,
}

impl Dev {
    fn start(author: &Author) -> Self {
        let mut child = author
            .command(&["plugin", "dev"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The lines up to one that has these words.
    #[track_caller]
    fn until(&self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(120)) {
                Ok(line) => seen += &format!("{line}\n"),
                Err(_) => panic!("`{words}` did not come: {seen}"),
            }
            if seen.lines().last().is_some_and(|line| line.contains(words)) {
                return seen;
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has ended already where the test got that far.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn saves_are_built_and_a_bad_one_leaves_the_last_good_build() {
    let author = Author::new("c");
    let mut dev = Dev::start(&author);
    let first = dev.until("watching");
    for words in [
        "built ./build/tidy.wasm",
        r#"→ {"id": 1, "name": "Ada Lovelace", "email": "ada@example.org""#,
        "(left out)",
        "(rejected: no address",
        "ok addresses",
    ] {
        assert!(first.contains(words), "{words}: {first}");
    }
    let good = std::fs::read(author.component()).unwrap();

    author.edit("src/plugin.c", "free(small);", "free(smal);");
    let bad = dev.until("watching");
    assert!(
        bad.contains("smal") && bad.contains("the last good component stays"),
        "{bad}"
    );
    assert_eq!(std::fs::read(author.component()).unwrap(), good);

    author.edit("src/plugin.c", "free(smal);", "free(small);");
    author.edit("src/plugin.c", "an @ is missing", "there is no @");
    let mended = dev.until("watching");
    assert!(
        mended.contains("(rejected: no address: there is no @)")
            && mended.contains("failed addresses"),
        "{mended}"
    );
    assert_ne!(std::fs::read(author.component()).unwrap(), good);

    // A test's rows are a part of what is saved.
    author.edit(
        "tests/expected.rejected.jsonl",
        "an @ is missing",
        "there is no @",
    );
    assert!(dev.until("watching").contains("ok addresses"));

    let process = rustix::process::Pid::from_child(&dev.child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
}
