//! Commands that ask a running node: how it is reached, what they print, and how they end.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use roadstead_cluster::{Connector, Tls, TlsFiles};
use roadstead_proto::rpc::admin::administration_client::AdministrationClient;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::{complain, say};
use crate::config::{ADMINISTRATION_PORT, Address};
use crate::error::with_causes;
use crate::limits::{ANSWER_TIME, CONNECT_TIME};

/// What help says about the end of such a command.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 it failed; 2 the command line is wrong; 5 nothing is there under that
name; 6 the node cannot be reached; 7 it refuses: paused, read-only, or not the leader.";

/// What every command that asks a node takes.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the node is administered (its `cluster.admin.addr`).
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "ROADSTEAD_ADMIN_ADDR",
        value_parser = address,
        default_value_t = Address::loopback(ADMINISTRATION_PORT)
    )]
    address: Address,
    /// By TLS, as `cluster.listen` wants it: certificates of the cluster's CA.
    #[arg(long, global = true, value_name = "FILE", requires_all = ["certificate", "key"])]
    ca: Option<PathBuf>,
    /// The certificate to show.
    #[arg(long, global = true, value_name = "FILE", requires_all = ["ca", "key"])]
    certificate: Option<PathBuf>,
    /// The key of that.
    #[arg(long, global = true, value_name = "FILE", requires_all = ["ca", "certificate"])]
    key: Option<PathBuf>,
    /// A table for people, or JSON for programs.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

impl Options {
    fn tls(&self) -> Result<Option<Arc<Tls>>, Failure> {
        let (Some(ca), Some(certificate), Some(key)) = (&self.ca, &self.certificate, &self.key)
        else {
            return Ok(None);
        };
        let files = TlsFiles {
            ca: ca.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
        };
        let tls = Tls::open(files).map_err(|error| Failure::here(error.to_string()))?;
        Ok(Some(Arc::new(tls)))
    }
}

fn address(text: &str) -> Result<Address, String> {
    let found = Address::parse(text).filter(|address| address.host().is_some());
    found.ok_or_else(|| "expected a host and a port, as in `127.0.0.1:5055`".to_owned())
}

/// Why a command did not do what it was to.
#[derive(Debug)]
pub(super) struct Failure {
    // Empty when there is nobody to tell.
    message: String,
    code: u8,
}

impl Failure {
    /// The command line lacks something.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }

    /// The configuration is wrong.
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 3,
        }
    }

    /// It failed on this side.
    pub(super) fn here(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 1,
        }
    }

    /// What was asked for was found, and said: the exit code is the answer.
    pub(super) fn found() -> Self {
        Self {
            message: String::new(),
            code: 8,
        }
    }

    fn unreachable(address: &Address, reason: &str) -> Self {
        Self {
            message: format!(
                "no node answers at {address}: is it running? set --address ({reason})"
            ),
            code: 6,
        }
    }
}

/// A node that was reached.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) client: AdministrationClient<Channel>,
    pub(super) channel: Channel,
    address: Address,
}

impl Node {
    /// Connects to the node that the options name.
    pub(super) async fn connect(options: &Options) -> Result<Self, Failure> {
        let address = options.address.clone();
        let unreachable =
            |error: tonic::transport::Error| Failure::unreachable(&address, &with_causes(&error));
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(unreachable)?
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .http2_keep_alive_interval(ANSWER_TIME)
            .keep_alive_timeout(ANSWER_TIME);
        let connector = Connector::new(options.tls()?);
        let connected = endpoint.connect_with_connector(connector).await;
        let channel = connected.map_err(unreachable)?;
        let client = AdministrationClient::new(channel.clone());
        Ok(Self {
            client,
            channel,
            address,
        })
    }

    /// What a call that failed means for the command.
    pub(super) fn failed(&self, status: &Status) -> Failure {
        let said = status.message();
        // A node that answers sends no cause; what the connection says has one.
        let is_broken = status.source().is_some();
        let (code, message) = match status.code() {
            Code::InvalidArgument => (2, said.to_owned()),
            Code::NotFound => (5, said.to_owned()),
            Code::FailedPrecondition => (7, said.to_owned()),
            Code::DeadlineExceeded | Code::Cancelled => (
                6,
                format!(
                    "the node at {} took too long to answer: try again",
                    self.address
                ),
            ),
            Code::Unimplemented if said.is_empty() => (
                1,
                format!("the node at {} does not know this: update it", self.address),
            ),
            _ if is_broken => (
                6,
                format!(
                    "the connection to {} broke off ({said}): try again, and see that --address \
                     is the node's `cluster.admin.addr`",
                    self.address
                ),
            ),
            _ if said.starts_with("grpc-status header missing") => (
                6,
                format!(
                    "what answers at {} is no administration service: set --address to the \
                     node's `cluster.admin.addr`",
                    self.address
                ),
            ),
            _ => (1, said.to_owned()),
        };
        Failure { message, code }
    }
}

/// Runs a command to its end.
pub(super) fn run(command: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(Failure::here(format!("cannot start: {error}"))),
    };
    self::ended(ended)
}

/// Says why a command failed, if it did.
pub(super) fn ended(ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, code }) => {
            if !message.is_empty() {
                complain(&message);
            }
            ExitCode::from(code)
        }
    }
}

/// Prints lines for people, or for programs.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    if text.is_empty() || say(io::stdout(), text.trim_end()) == ExitCode::SUCCESS {
        return Ok(());
    }
    // Whoever read it has gone, and wants to hear nothing more.
    Err(Failure::here(""))
}

/// Prints the document for programs, or the words for people.
pub(super) fn print_either(output: Output, document: &Value, words: &str) -> Result<(), Failure> {
    match output {
        Output::Json => print_json(document),
        Output::Table => print(words),
    }
}

/// Prints a document for programs, over several lines.
pub(super) fn print_json(document: &Value) -> Result<(), Failure> {
    print(&format!("{document:#}"))
}

/// Prints one event of many for programs, on one line.
pub(super) fn print_event(event: &Value) -> Result<(), Failure> {
    print(&event.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["127.0.0.1:5055", "localhost:1", "[::1]:5055"] {
            assert_eq!(address(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["", ":5055", "localhost", "http://localhost:5055", "a b:1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
