//! "Your first transform" of `plugins/README.md`, followed word by word in a shell, with a table of the test's in the place of `shop.customers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Flavor, World, root, tidemill};

/// What isn't done again: the program and the tools are there.
const SKIPPED: [&str; 4] = [
    "cargo build ",
    "export PATH=",
    "python3 -m venv ",
    ".venv/bin/pip install ",
];

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

/// Who reads the guide, beside the pipe file of a real source and destination.
struct Reader {
    world: World,
    /// Where the shell is.
    folder: PathBuf,
    /// What the last block has printed.
    printed: String,
}

impl Reader {
    fn new() -> Self {
        let world = World::new(Flavor::MySql).table("customers", "");
        world.mysql.run(
            "CREATE TABLE customers (id BIGINT PRIMARY KEY, email VARCHAR(100));\n\
             INSERT INTO customers VALUES (1, ' Grace@Example.ORG'), (2, NULL), (3, 'nowhere');\n",
        );
        world.write_pipe();
        Self {
            folder: world.folder().to_owned(),
            world,
            printed: String::new(),
        }
    }

    /// The guide's text, with the table's name.
    fn here(&self, text: &str) -> String {
        let table = format!("{}.customers", self.world.mysql.database);
        text.replace("shop.customers", &table)
    }

    /// Types the lines of a block.
    fn types(&mut self, lines: &str) {
        self.printed.clear();
        for line in self.here(lines).lines() {
            if let Some(to) = line.strip_prefix("cd ") {
                self.folder = self.folder.join(to).canonicalize().unwrap();
            } else if !SKIPPED.iter().any(|start| line.starts_with(start)) {
                self.printed += &shell(line, &self.folder);
            }
        }
    }

    /// Puts a table into the pipe file, as the guide has it.
    fn maps(mut self, table: &str) -> Self {
        let table = self.here(table);
        self.world.clear_tables();
        self.world = self.world.settings(&table);
        self.world.write_pipe();
        self
    }

    #[track_caller]
    fn sees(&self, words: &str) {
        let printed = &self.printed;
        assert!(printed.contains(words), "`{words}` is not in: {printed}");
    }
}

/// What a line prints. Only a test of the plugin may fail, as the guide shows.
fn shell(line: &str, folder: &Path) -> String {
    let programs = Path::new(tidemill()).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .current_dir(folder)
        .args(["-c", line])
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()
        .unwrap();
    let streams = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(streams).unwrap();
    assert!(
        output.status.success() || printed.contains("0 of 1 test passed"),
        "`{line}`: {printed}"
    );
    printed
}

fn replace_last_line(file: &Path, by: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let (kept, _last) = text.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(file, format!("{kept}\n{by}")).unwrap();
}

#[test]
fn your_first_transform_is_as_the_guide_says() {
    let mut reader = Reader::new();
    let mut compared = 0;
    for (language, text) in blocks() {
        match language.as_str() {
            "sh" => reader.types(&text),
            "python" => replace_last_line(&reader.folder.join("src/plugin.py"), &text),
            "text" => {
                for line in text.lines() {
                    reader.sees(line);
                    compared += 1;
                }
            }
            "toml" => {
                // The rows of the table, by `plugin test --table`.
                reader.sees("***@example.org");
                reader.sees("1 rejected");
                reader = reader.maps(&text);
            }
            other => panic!("a block of {other}"),
        }
    }
    assert_eq!(compared, 5, "the guide shows what comes");
    // The same rows, by `preview`.
    reader.sees("***@example.org");
    reader.sees("(rejected)");
}
