//! "Your first transform" of `plugins/README.md`, followed word by word.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{root, tidemill};

/// The fenced blocks of the guide: language and text, in order.
fn blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("plugins/README.md")).unwrap();
    let guide = text.split_once("\n## Your first transform\n").unwrap().1;
    let guide = guide.split_once("\n## ").unwrap().0;
    let fenced = guide.split("```").skip(1).step_by(2);
    let block = |fenced: &str| {
        let (language, text) = fenced.split_once('\n').unwrap();
        (language.to_owned(), text.to_owned())
    };
    fenced.map(block).collect()
}

/// Runs the lines of a block; what was printed. What installs the tools, and what needs a pipe, is not run: the tools are there, and other tests have pipes.
fn run(lines: &str, folder: &mut PathBuf) -> String {
    let mut printed = String::new();
    for line in lines.lines() {
        if let Some(inner) = line.strip_prefix("cd ") {
            folder.push(inner);
        } else if let Some(arguments) = line.strip_prefix("tidemill plugin ") {
            let mut command = Command::new(tidemill());
            command
                .current_dir(&*folder)
                .arg("plugin")
                .args(arguments.split(' '));
            let output = command.output().unwrap();
            printed += &String::from_utf8(output.stdout).unwrap();
            printed += &String::from_utf8(output.stderr).unwrap();
        } else {
            let known = [
                "python3 -m venv ",
                ".venv/bin/pip install ",
                "tidemill --pipe ",
            ];
            assert!(
                known.iter().any(|start| line.starts_with(start)),
                "`{line}` is not run by the test"
            );
        }
    }
    printed
}

fn replace_last_line(file: &Path, by: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let (kept, _last) = text.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(file, format!("{kept}\n{by}")).unwrap();
}

#[test]
fn your_first_transform_is_as_the_guide_says() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = home.path().to_owned();
    let (mut printed, mut compared) = (String::new(), 0);
    for (language, text) in blocks() {
        match language.as_str() {
            "sh" => printed = run(&text, &mut folder),
            "python" => replace_last_line(&folder.join("src/plugin.py"), &text),
            "text" => {
                for line in text.lines() {
                    assert!(printed.contains(line), "`{line}` is not in: {printed}");
                    compared += 1;
                }
            }
            "toml" => assert!(home.path().join("tidy/build/tidy.wasm").is_file()),
            other => panic!("a block of {other}"),
        }
    }
    assert_eq!(compared, 5, "the guide shows what comes");
}
