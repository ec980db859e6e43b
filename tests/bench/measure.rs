//! Wall time, CPU seconds by process, and peak memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::ClickHouse;

/// The servers' processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processes {
    pub(crate) mysql: i32,
    pub(crate) clickhouse: i32,
}

/// What a command cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    /// CPU seconds of the servers while it ran.
    pub(crate) mysql_cpu: f64,
    pub(crate) clickhouse_cpu: f64,
    /// CPU seconds that ClickHouse's merges took afterwards.
    pub(crate) merges_cpu: f64,
    /// CPU seconds of the command itself.
    pub(crate) client_cpu: f64,
    pub(crate) client_peak_mib: f64,
}

/// What something has cost so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) mysql_cpu: f64,
    pub(crate) clickhouse_cpu: f64,
    pub(crate) client_cpu: f64,
    pub(crate) client_peak_mib: f64,
}

/// Reads what something costs, from now on.
pub(crate) struct Meter {
    processes: Processes,
    began: Instant,
    mysql_cpu: f64,
    clickhouse_cpu: f64,
}

impl Meter {
    /// The cost so far, with that of this client.
    pub(crate) fn read(&self, client: u32) -> Cost {
        Cost {
            wall: self.began.elapsed(),
            mysql_cpu: cpu_seconds(self.processes.mysql) - self.mysql_cpu,
            clickhouse_cpu: cpu_seconds(self.processes.clickhouse) - self.clickhouse_cpu,
            client_cpu: cpu_seconds(client as i32),
            client_peak_mib: peak_mib(client),
        }
    }
}

/// The value of an argument.
pub(crate) fn argument<T: std::str::FromStr>(name: &str) -> Option<T> {
    let arguments: Vec<String> = std::env::args().collect();
    let position = arguments.iter().position(|argument| argument == name)?;
    arguments.get(position + 1)?.parse().ok()
}

/// The processor's name, and how many of it.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    format!(
        "{} × {model}",
        std::thread::available_parallelism().map_or(1, usize::from)
    )
}

impl Processes {
    /// Begins to measure.
    pub(crate) fn meter(&self) -> Meter {
        Meter {
            processes: *self,
            began: Instant::now(),
            mysql_cpu: cpu_seconds(self.mysql),
            clickhouse_cpu: cpu_seconds(self.clickhouse),
        }
    }

    /// Runs a command to its end, and waits until ClickHouse has merged what it wrote: the next one must not pay for it.
    pub(crate) fn measure(
        &self,
        clickhouse_server: &ClickHouse,
        command: &mut Command,
    ) -> Measured {
        let (mysql, clickhouse) = (cpu_seconds(self.mysql), cpu_seconds(self.clickhouse));
        let began = Instant::now();
        let mut child = command.stdout(Stdio::null()).spawn().expect("it runs");
        let (mut client_cpu, mut client_peak_mib) = (0.0_f64, 0.0_f64);
        let status = loop {
            if let Some(status) = child.try_wait().expect("it ran") {
                break status;
            }
            client_cpu = client_cpu.max(cpu_seconds(child.id() as i32));
            client_peak_mib = client_peak_mib.max(peak_mib(child.id()));
            std::thread::sleep(Duration::from_millis(20));
        };
        let wall = began.elapsed();
        assert!(status.success(), "{command:?} failed");
        let (mysql_end, clickhouse_end) = (cpu_seconds(self.mysql), cpu_seconds(self.clickhouse));
        await_merges(clickhouse_server);
        Measured {
            wall,
            mysql_cpu: mysql_end - mysql,
            clickhouse_cpu: clickhouse_end - clickhouse,
            merges_cpu: cpu_seconds(self.clickhouse) - clickhouse_end,
            client_cpu,
            client_peak_mib,
        }
    }
}

fn await_merges(server: &ClickHouse) {
    let mut quiet = 0;
    // A merge may be about to be chosen: one moment of quiet is not enough.
    while quiet < 5 {
        let merges = server.query("SELECT count() FROM system.merges");
        quiet = if merges == "0" { quiet + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The measurement whose wall time is the median.
pub(crate) fn median(measured: &[Measured]) -> Measured {
    let mut sorted = measured.to_vec();
    sorted.sort_by_key(|m| m.wall);
    sorted[sorted.len() / 2]
}

/// User and system time that a process has used; of all its threads.
fn cpu_seconds(process: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may hold spaces. After it, the 12th and 13th fields are utime and stime, in hundredths of a second.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_ascii_whitespace()
        .collect();
    let ticks = |i: usize| {
        fields
            .get(i)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

/// The highest resident memory so far.
fn peak_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    high.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}
