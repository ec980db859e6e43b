//! What is told where something is missing or wrong.

use super::Author;

#[test]
fn a_missing_tool_is_named_with_the_command_that_installs_it() {
    let empty = tempfile::tempdir().unwrap();
    for (language, tool, install) in [
        (
            "python",
            "`componentize-py`",
            "pip install componentize-py==0.25.1",
        ),
        ("javascript", "`rolldown`", "npm install"),
        ("typescript", "`rolldown`", "npm install"),
        ("c", "`zig`", "pip install ziglang==0.17.1"),
    ] {
        let author = Author::new(language);
        let output = author
            .command(&["plugin", "build"])
            .env("PATH", empty.path())
            .env("XDG_CACHE_HOME", empty.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(tool) && told.contains(install), "{told}");
        assert!(!author.component().exists());
    }
}

#[test]
fn a_mistake_in_the_source_is_shown_as_the_tool_tells_it() {
    for (language, file, from, to, words) in [
        (
            "python",
            "src/plugin.py",
            "import tidemill\n",
            "import tidemil\n",
            "No module named 'tidemil'",
        ),
        (
            "javascript",
            "src/plugin.js",
            "bind(table) {",
            "bind(table) {{",
            "plugin.js",
        ),
        ("c", "src/plugin.c", "free(small);", "free(smal);", "smal"),
    ] {
        let author = Author::new(language);
        std::fs::create_dir(author.path().join("build")).unwrap();
        author.write("build/tidy.wasm", "the last good build");
        author.edit(file, from, to);
        author.json(&["plugin", "build"]).fails(5, &[words]);
        let kept = std::fs::read(author.component()).unwrap();
        assert_eq!(kept, b"the last good build");
    }
}

#[test]
fn a_plugin_in_c_that_wants_files_is_told_what_there_is() {
    let author = Author::new("c");
    author.edit(
        "src/plugin.c",
        "#include <stdlib.h>",
        "#include <stdio.h>\n#include <stdlib.h>",
    );
    author.edit(
        "src/plugin.c",
        "  free(small);",
        "  free(small);\n  fopen(\"/etc/passwd\", \"r\");",
    );
    author.json(&["plugin", "build"]).fails(
        5,
        &[
            "wasi_snapshot_preview1",
            "no files, clocks or standard streams",
        ],
    );
}

#[test]
fn what_is_no_plugin_says_how_to_begin() {
    let author = Author::new("c");
    author
        .json(&["plugin", "test", "tests"])
        .fails(5, &["no plugin's folder", "tidemill plugin new"]);
    author
        .json(&["plugin", "new", "tidy", "--language", "c", "--folder", "."])
        .fails(5, &["is there already"]);
    author
        .json(&["plugin", "new", "Ti dy", "--language", "c"])
        .fails(5, &["small letters"]);
    author
        .json(&[
            "plugin",
            "test",
            "--input",
            "tests/customers.jsonl",
            "--column",
            "id: bigint",
        ])
        .fails(2, &["`id: bigint`", "int64"]);
}
