//! What is made out of the arguments for a package: completions and man pages.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;

/// Prints completions for a shell.
pub(super) fn completions(shell: Shell) {
    clap_complete::generate(
        shell,
        &mut Arguments::command(),
        "tidemill",
        &mut io::stdout(),
    );
}

/// Writes `tidemill.1` and a page for each subcommand that help shows, `tidemill-plugin-build.1` and so on, into a folder, which is made.
pub(super) fn man_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names of the pages that a command and what is under it should have.
    fn expected(command: &clap::Command, name: &str, pages: &mut BTreeSet<String>) {
        pages.insert(format!("{name}.1"));
        for below in command
            .get_subcommands()
            .filter(|below| !below.is_hide_set())
        {
            expected(below, &format!("{name}-{}", below.get_name()), pages);
        }
    }

    #[test]
    fn each_visible_subcommand_has_a_man_page_that_says_what_it_does() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("man/man1");
        man_pages(&folder).unwrap();

        let mut pages = BTreeSet::new();
        expected(&Arguments::command(), "tidemill", &mut pages);
        let written: BTreeSet<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(written, pages);
        assert!(pages.contains("tidemill-plugin-build.1"), "{pages:?}");
        assert!(!pages.contains("tidemill-compile-plugin.1"), "{pages:?}");

        let page = fs::read_to_string(folder.join("tidemill-plugin-build.1")).unwrap();
        assert!(page.contains("Build a plugin into a component"), "{page}");
    }
}
