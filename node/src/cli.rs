//! The command line: what a user types.
//!
//! Exit codes: 0 it worked; 1 it failed while running; 2 the command line is wrong; 3 the
//! configuration is wrong; 4 the node could not start. Commands that ask a running node have more:
//! 5 nothing is there under that name; 6 the node cannot be reached; 7 it refuses; 8 `verify` found
//! something wrong.

mod cluster;
mod collection;
mod figures;
mod progress;
mod remote;
mod repositories;
mod table;
mod uploads;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{Config, ConfigError, Loaded};
use crate::node::{self, Stopped};
use crate::service::Policy;

/// The variable that names the configuration file where no argument does.
const CONFIGURATION_PATH: &str = "REGISTRY_CONFIGURATION_PATH";

/// A container registry that runs as a cluster.
#[derive(Debug, Parser)]
#[command(name = "roadstead", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the registry. Without a file: port 5000, data in ./data.
    Serve {
        /// A configuration file, as CNCF Distribution's registry has it.
        config: Option<PathBuf>,
    },
    /// Work with configuration files.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at the cluster and change it: status, drain, remove and others.
    Cluster(cluster::Arguments),
    /// Collect garbage: see how it goes, look now, pause, resume, explain.
    Gc(collection::Arguments),
    /// List repositories, and delete one with all that is in it.
    Repository(repositories::Arguments),
    /// List uploads in progress, and cancel one.
    Upload(uploads::Arguments),
    /// Compare the object store with the metadata, while everything runs.
    Verify(verify::Arguments),
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a configuration, with the environment, is right. Changes nothing.
    Check {
        /// The file; without one, the defaults and the environment are checked.
        config: Option<PathBuf>,
    },
}

/// Runs the program with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and are no failure.
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match arguments.command {
        Command::Serve { config } => serve(config),
        Command::Config {
            command: ConfigCommand::Check { config },
        } => check(config),
        Command::Cluster(arguments) => cluster::run(arguments),
        Command::Gc(arguments) => remote::run(collection::run(arguments)),
        Command::Repository(arguments) => remote::run(repositories::run(arguments)),
        Command::Upload(arguments) => remote::run(uploads::run(arguments)),
        Command::Verify(arguments) => remote::run(verify::run(arguments)),
        Command::Version => say(
            io::stdout(),
            &format!("roadstead {}", env!("CARGO_PKG_VERSION")),
        ),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "roadstead", &mut script);
            say(io::stdout(), String::from_utf8_lossy(&script).trim_end())
        }
    }
}

fn load(path: Option<PathBuf>) -> Result<Loaded, ConfigError> {
    let path = path.or_else(|| std::env::var_os(CONFIGURATION_PATH).map(PathBuf::from));
    // What is not text cannot be a setting of ours.
    let variables = std::env::vars_os();
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(path.as_deref(), variables)
}

fn serve(path: Option<PathBuf>) -> ExitCode {
    let loaded = match load(path) {
        Ok(loaded) => loaded,
        Err(error) => return config_error(&error),
    };
    match node::run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped::Config(message)) => {
            complain(&message);
            ExitCode::from(3)
        }
        Err(Stopped::Start(message)) => {
            complain(&message);
            ExitCode::from(4)
        }
        Err(Stopped::Failed(message)) => {
            complain(&message);
            ExitCode::from(1)
        }
    }
}

fn check(path: Option<PathBuf>) -> ExitCode {
    let loaded = match load(path) {
        Ok(loaded) => loaded,
        Err(error) => return config_error(&error),
    };
    for warning in &loaded.warnings {
        say(io::stderr(), &format!("warning: {warning}"));
    }
    if let Err(message) = Policy::new(&loaded.config) {
        complain(&message);
        return ExitCode::from(3);
    }
    let source = loaded.source.file.map_or_else(
        || "the defaults".to_owned(),
        |file| file.display().to_string(),
    );
    say(
        io::stdout(),
        &format!("{source}: the configuration is right"),
    )
}

fn config_error(error: &ConfigError) -> ExitCode {
    for warning in error.warnings() {
        say(io::stderr(), &format!("warning: {warning}"));
    }
    complain(&error.to_string());
    ExitCode::from(3)
}

/// Writes for people; a closed pipe is not worth a panic.
fn say(mut out: impl Write, text: &str) -> ExitCode {
    match writeln!(out, "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(message: &str) {
    say(io::stderr(), &format!("roadstead: {message}"));
}
