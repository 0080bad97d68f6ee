//! What the system tells of this process: memory, processor time and file descriptors.
//!
//! It does not know what the metrics are called. What cannot be read is `None`, never an error: a
//! system without `/proc` has fewer metrics.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The numbers of this process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    pub(super) started_at_seconds: Option<f64>,
}

impl Process {
    /// Reads everything anew.
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).ok();
        let started = |process: String| started_at(&process, &text("/proc/stat")?);
        Self {
            cpu_seconds: cpu_seconds(),
            resident_bytes: text("/proc/self/status").and_then(|status| resident(&status)),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
            started_at_seconds: text("/proc/self/stat").and_then(started),
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    const NANOSECONDS: f64 = 1e9;
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / NANOSECONDS)
}

fn open_fds() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // One of them is the folder that is being read.
    entries.checked_sub(1)
}

/// Reads `VmRSS:   1234 kB`.
fn resident(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Adds the start of the process since boot to the time of the boot.
fn started_at(process: &str, system: &str) -> Option<f64> {
    // Programs see 100 a second on Linux, whatever rate the kernel itself has.
    const TICKS_PER_SECOND: f64 = 100.0;
    // Field 22; the second, in parentheses, is the name and may hold anything.
    const FIELDS_FROM_NAME: usize = 19;
    let (_, fields) = process.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').nth(FIELDS_FROM_NAME)?.parse().ok()?;
    let booted = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    let booted: u64 = booted.trim().parse().ok()?;
    Some(booted as f64 + ticks as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn files_of_the_system_are_understood() {
        let status = "Name:\tx\nVmHWM:\t  9999 kB\nVmRSS:\t   1234 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(1234 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);

        let process = "42 (a) b) c) S 1 42 42 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 9 0 12345 99 7";
        let system = "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n";
        assert_eq!(started_at(process, system), Some(1_700_000_123.45));
        assert_eq!(started_at("42 (a) S 1", system), None);
        assert_eq!(started_at(process, "cpu  1 2 3\n"), None);
    }

    #[test]
    fn this_process_has_plausible_numbers() {
        let process = Process::read();
        let resident = process.resident_bytes.unwrap();
        assert!((100_000..100_000_000_000).contains(&resident), "{resident}");
        assert!(process.cpu_seconds.unwrap() > 0.0);
        assert!(process.open_fds.unwrap() >= 3);
        assert!(process.max_fds.unwrap() >= process.open_fds.unwrap());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let age = now.unwrap().as_secs_f64() - process.started_at_seconds.unwrap();
        assert!((-2.0..86_400.0).contains(&age), "{age}");
    }
}
