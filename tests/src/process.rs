//! `Registry`: the real binary as a process of its own, in a folder and on a port of its own.
//!
//! Invariant: what was started is ended: by `stop`, by `kill`, or when the value goes.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use roadstead_proto::Digest;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::folder::{self, Objects};
use crate::wait::{self, LONG};
use crate::{Client, Repository, Setup};

/// Below the ports that the kernel gives to outgoing connections, so that none of those takes
/// the port between the look at it and the registry's own bind.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The user who owns nothing.
const NOBODY: u32 = 65_534;

/// Most lines of a log that a failure shows.
const SHOWN_LINES: usize = 80;

/// A registry with its folder and ports, running or not.
#[derive(Debug)]
pub struct Registry {
    setup: Setup,
    folder: TempDir,
    port: u16,
    debug_port: u16,
    process: Option<Child>,
    // Counts the processes, each of which has log files of its own.
    run: u32,
}

/// A process that ended by itself when it was to start.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// The registry that was built beside the tests.
///
/// # Panics
/// When it is not there.
pub fn binary() -> PathBuf {
    built("roadstead")
}

/// A binary that was built beside the tests.
pub(crate) fn built(name: &str) -> PathBuf {
    // <target>/<profile>/deps/<this test> -> <target>/<profile>/roadstead
    let test = std::env::current_exe().expect("the path of this test is known");
    let profile = test.parent().and_then(Path::parent);
    let binary = profile.expect("tests lie two folders deep").join(name);
    assert!(
        binary.is_file(),
        "there is no {}; `make test` and `make crash` build what their tests start",
        binary.display()
    );
    binary
}

/// A command on the binary without the settings of whoever runs the tests.
pub fn command() -> Command {
    clean(Command::new(binary()))
}

/// The same without the settings of whoever runs the tests.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("REGISTRY_") || text == "ROADSTEAD_ADMIN_ADDR" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A port of the loopback address that nobody listens on, and that this process gives out once.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let spread = std::process::id().wrapping_mul(7919) % u32::from(PORTS.end - PORTS.start);
        AtomicU16::new(u16::try_from(spread).unwrap_or_default())
    });
    for _ in PORTS {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = PORTS.start + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of 127.0.0.1 between {PORTS:?} is free");
}

impl Registry {
    /// Starts a registry with an empty folder and waits until it is ready.
    #[track_caller]
    pub fn start(setup: Setup) -> Self {
        let mut registry = Self::prepare(setup);
        registry.run();
        registry
    }

    /// A registry with an empty folder that is not running yet.
    pub fn prepare(setup: Setup) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("roadstead-test-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder can be made");
        let registry = Self {
            setup,
            folder,
            port: free_port(),
            debug_port: free_port(),
            process: None,
            run: 0,
        };
        if let Some(text) = registry.setup.file() {
            registry.write_config(&registry.fill_in(&text));
        }
        registry
    }

    /// Sets an environment variable for the next start.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.setup = self.setup.clone().variable(name, value);
    }

    /// Writes the configuration file anew.
    pub fn write_config(&self, text: &str) {
        fs::write(self.config(), text).expect("the configuration can be written");
    }

    /// The configuration file, which need not be there.
    pub fn config(&self) -> PathBuf {
        self.folder().join("config.yml")
    }

    /// The text with folder and ports in their places.
    pub fn fill_in(&self, text: &str) -> String {
        text.replace("{folder}", &self.folder().display().to_string())
            .replace("{host}", &self.host())
            .replace("{port}", &self.port.to_string())
            .replace("{debug}", &self.debug_port.to_string())
    }

    /// Starts the process and waits until it is ready.
    #[track_caller]
    pub fn run(&mut self) {
        if let Err(reason) = self.try_run() {
            panic!("{reason}");
        }
    }

    /// As `run`, where it may be that it does not start; the reason holds its logs.
    pub fn try_run(&mut self) -> Result<(), String> {
        self.spawn();
        let client = self.client();
        let has_come = wait::poll(LONG, || match self.try_wait() {
            Some(status) => Some(Err(format!("ended at start with {status}"))),
            None => client.is_ready().then_some(Ok(())),
        });
        let come = has_come.unwrap_or_else(|| Err(format!("not ready after {LONG:?}")));
        come.map_err(|reason| format!("{reason}\n{}", self.logs()))
    }

    /// Starts the process, which must end by itself.
    #[track_caller]
    pub fn run_to_end(&mut self) -> Ended {
        self.spawn();
        let status = self.wait();
        self.process = None;
        Ended {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// Starts the process and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        self.run += 1;
        let log = |name| File::create(self.log(name)).expect("a log file can be made");
        let mut command = self.command();
        command.stdout(log("stdout")).stderr(log("stderr"));
        self.process = Some(command.spawn().expect("the registry can be started"));
    }

    fn command(&self) -> Command {
        let is_root = rustix::process::geteuid().is_root();
        let program = if self.setup.is_unprivileged() && is_root {
            self.copy_binary().expect("the binary can be copied")
        } else {
            binary()
        };
        let mut command = match self.setup.descriptors_max() {
            None => self.program(&program),
            Some(max) => {
                let mut shell = Command::new("/bin/sh");
                shell
                    .arg("-c")
                    .arg(format!("ulimit -n {max} && exec \"$0\" \"$@\""));
                shell.arg(program);
                shell
            }
        };
        if self.setup.is_unprivileged() && is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut command = clean(command);
        command.current_dir(self.folder()).arg("serve");
        if self.config().exists() {
            command.arg(self.config());
        }
        if !self.setup.has_default_administration() {
            // The default is one port for all.
            command.env("REGISTRY_CLUSTER_ADMIN_ADDR", "127.0.0.1:0");
        }
        for (name, value) in self.setup.environment() {
            command.env(name, self.fill_in(value));
        }
        command
    }

    /// A program where this registry runs.
    pub fn program(&self, program: &Path) -> Command {
        match self.setup.host() {
            None => Command::new(program),
            Some(host) => host.program(program),
        }
    }

    /// Somebody else may not be allowed to go where the binary lies.
    fn copy_binary(&self) -> io::Result<PathBuf> {
        let copy = self.folder().join("roadstead");
        let original = fs::canonicalize(binary())?;
        if !copy.exists() && fs::hard_link(&original, &copy).is_err() {
            fs::copy(&original, &copy)?;
        }
        Ok(copy)
    }

    /// Asks the process to end, and waits until it has.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops the process in order and starts it again on the same data.
    #[track_caller]
    pub fn restart(&mut self) {
        let status = self.stop();
        assert!(status.success(), "ended with {status}\n{}", self.logs());
        self.run();
    }

    /// Sends a signal to the process.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("a child can be signalled");
    }

    /// Whether it was started, and not ended by this.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        match wait::poll(LONG * 2, || self.try_wait()) {
            Some(status) => status,
            None => panic!("it goes on running\n{}", self.logs()),
        }
    }

    /// Waits until the process has ended by itself; then it can be started again.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let status = self.wait();
        self.process = None;
        status
    }

    /// How the process ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut().expect("it was started");
        process.try_wait().expect("a child can be waited for")
    }

    /// The folder of this registry alone. It is also the process's working folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The root of the store, as the setups with a file have it.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The folder of the metadata, as the setups with a file have it.
    pub fn metadata(&self) -> PathBuf {
        self.data().join("roadstead").join("metadata")
    }

    /// The most memory that the process has had resident, in KiB, which the kernel writes as kB.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn peak_resident_kib(&self) -> u64 {
        let process = self.process.as_ref().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()));
        let status = status.expect("the system tells");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|rest| rest.split_whitespace().next());
        peak.and_then(|kib| kib.parse().ok())
            .expect("a number of KiB")
    }

    /// What the process has open.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn open_files(&self) -> Vec<PathBuf> {
        let process = self.process.as_ref().expect("it runs");
        let open = fs::read_dir(format!("/proc/{}/fd", process.id())).expect("the system tells");
        // A file may be closed between the two looks.
        open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .collect()
    }

    /// How many objects lie in the store.
    pub fn objects(&self) -> Objects {
        match self.setup.place() {
            Some(place) => place.counted(),
            None => folder::objects(&self.data()),
        }
    }

    /// The digest of every whole object of the store, read and hashed, and where each lies.
    pub fn digests(&self) -> Vec<(String, Digest)> {
        if let Some(place) = self.setup.place() {
            return place.digests();
        }
        let found = folder::digests(&self.data()).into_iter();
        let found = found.map(|(path, digest)| (path.display().to_string(), digest));
        found.collect()
    }

    /// Waits until the store holds exactly these objects and no unfinished write.
    #[track_caller]
    pub fn holds_objects(&self, finished: usize) {
        let expected = Objects {
            finished,
            partial: 0,
        };
        let limit = std::time::Duration::from_secs(10);
        let found = wait::poll(limit, || (self.objects() == expected).then_some(()));
        let actual = self.objects();
        assert!(
            found.is_some(),
            "expected {expected:?} in the store, not {actual:?}"
        );
    }

    /// Where it serves, as `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port)
    }

    fn host(&self) -> String {
        let host = self.setup.host().map(|host| host.address.to_string());
        host.unwrap_or_else(|| "127.0.0.1".to_owned())
    }

    /// Where it serves operators, if its setup says so.
    pub fn debug_address(&self) -> String {
        format!("{}:{}", self.host(), self.debug_port)
    }

    /// Where the running process is administered, as `host:port`.
    #[track_caller]
    pub fn administration(&self) -> String {
        const WORDS: &str = "administration is served on ";
        let line = self.says(&[WORDS]);
        let (_, rest) = line.split_once(WORDS).expect("the words are there");
        let end = |c: char| c.is_whitespace() || c == '"';
        rest.split(end).next().unwrap_or_default().to_owned()
    }

    /// A client of this registry.
    pub fn client(&self) -> Client {
        self.client_of(&self.address())
    }

    /// A client of what it serves to operators.
    pub fn debug_client(&self) -> Client {
        self.client_of(&self.debug_address())
    }

    fn client_of(&self, address: &str) -> Client {
        match self.setup.host() {
            None => Client::new(address),
            Some(host) => Client::with(address, &host.http),
        }
    }

    /// A client of one of its repositories.
    pub fn repository(&self, name: &str) -> Repository {
        self.client().repository(name)
    }

    /// Panics unless a blob can be pushed and pulled.
    #[track_caller]
    pub fn serves(&self) {
        let repository = self.repository("still/serving");
        let content = crate::fixture::random(u64::from(self.port), 1000);
        let digest = repository.push_blob(&content);
        let answer = repository.get_blob(&digest).expect(200);
        assert_eq!(answer.body, content);
        repository.delete_blob(&digest).expect(202);
    }

    /// Waits until a line of what the last process writes has all of these words.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> String {
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        let found = wait::poll(LONG, || {
            // The last line may not be whole yet.
            let whole = |text: String| text.rfind('\n').map(|end| text[..=end].to_owned());
            let said = [self.stderr(), self.stdout()].map(|text| whole(text).unwrap_or_default());
            let mut lines = said.iter().flat_map(|text| text.lines());
            lines.find(has_all).map(str::to_owned)
        });
        found.unwrap_or_else(|| panic!("no line has {words:?}\n{}", self.logs()))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.{}", self.run))
    }

    /// What the last process has written to its standard output.
    pub fn stdout(&self) -> String {
        read_log(&self.log("stdout"))
    }

    /// What the last process has written to its standard error.
    pub fn stderr(&self) -> String {
        read_log(&self.log("stderr"))
    }

    /// The end of what the last process has written, for a failure to show.
    pub fn logs(&self) -> String {
        let tail = |name: &str, text: &str| {
            let lines: Vec<_> = text.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            format!("--- {name}\n{}\n", shown.join("\n"))
        };
        tail("stdout", &self.stdout()) + &tail("stderr", &self.stderr())
    }

    #[expect(
        clippy::print_stderr,
        reason = "the test harness shows it with the failure"
    )]
    pub(crate) fn show_if_failing(&self) {
        if std::thread::panicking() {
            eprintln!("the registry at {}:\n{}", self.address(), self.logs());
        }
    }
}

fn read_log(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
        self.show_if_failing();
    }
}

impl Ended {
    /// Panics unless it failed with a status of its own, and said all of this.
    #[track_caller]
    pub fn failed_saying(&self, words: &[&str]) {
        let Self {
            status,
            stdout,
            stderr,
        } = self;
        let what = format!("{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        assert!(!status.success(), "it succeeded: {what}");
        assert_eq!(status.signal(), None, "it crashed: {what}");
        assert!(!stderr.contains("panicked at"), "it panicked: {what}");
        for word in words {
            assert!(stderr.contains(word), "does not say {word:?}: {what}");
        }
    }
}
