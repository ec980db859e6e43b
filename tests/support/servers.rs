//! The servers that all tests share: started by the scripts in `tests/provision` by whoever needs one first, and left running for
//! the others. `tests/run` stops them at the end.

use std::collections::HashMap;
use std::process::Command;

use super::root;

/// What the environment file of a server, or of tools, says of it.
#[derive(Clone, Debug)]
pub struct Server(HashMap<String, String>);

impl Server {
    /// A value of the file.
    pub fn get(&self, key: &str) -> &str {
        self.0
            .get(key)
            .unwrap_or_else(|| panic!("the server has no `{key}`"))
    }

    /// A port of the file.
    pub fn port(&self, key: &str) -> u16 {
        self.get(key).parse().expect("a port")
    }

    /// The id of the server's process.
    pub fn process(&self) -> i32 {
        let text = std::fs::read_to_string(self.get("pid_file")).expect("the server's pid file");
        text.trim().parse().expect("a process id")
    }
}

/// Starts a server of `tests/provision`, unless it is running.
pub fn start(script: &str, name: &str) -> Server {
    start_with(script, name, "")
}

/// The same for a server with options of its own.
pub fn start_with(script: &str, name: &str, options: &str) -> Server {
    run(command(script)
        .args(["start", name])
        .env("TIDEMILL_BIN", super::tidemill())
        .env("SERVER_OPTIONS", options))
}

/// Fetches tools of `tests/provision`, unless they are there; what the script says of them.
pub fn provision(script: &str) -> Server {
    run(&mut command(script))
}

fn command(script: &str) -> Command {
    Command::new(root().join("tests/provision").join(script))
}

fn run(command: &mut Command) -> Server {
    let output = command.output().expect("the script can be run");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Server(
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
    )
}

/// Stops a server of `tests/provision`.
pub fn stop(script: &str, name: &str) {
    end("stop", script, name);
}

/// Stops a server that a test had for itself, and removes its folder.
pub fn remove(script: &str, name: &str) {
    end("remove", script, name);
}

fn end(command: &str, script: &str, name: &str) {
    let status = self::command(script).args([command, name]).status();
    assert!(
        status.expect("the script can be run").success(),
        "{script} {command} {name}"
    );
}

/// Ends a process at once, as a crash would.
pub fn kill(process: i32) {
    let process = rustix::process::Pid::from_raw(process).expect("a process id");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("it was running");
}
